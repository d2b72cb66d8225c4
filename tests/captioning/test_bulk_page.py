"""Many captions changed on the page: those that it shows and no others, each with a way back."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.captioning.conftest import WEIRD

pytest.importorskip("flask", reason="Flask is not installed")

NOTHING = {"find": "", "put": "", "remove": "", "add": "", "is_pattern": False, "add_first": False, "dry_run": False}
ORIGIN = {"Origin": "http://localhost"}


def versions_of(client: Any, *names: str) -> dict[str, str]:
    sprites = client.get("/sprites").json["sprites"]
    return {s["name"]: s["version"] for s in sprites if not names or s["name"] in names}


def send(client: Any, versions: dict[str, str], **change: Any) -> Any:
    return client.put("/captions", json={**NOTHING, "versions": versions, **change}, headers=ORIGIN)


def undo(client: Any) -> Any:
    return client.put("/undo", json={}, headers=ORIGIN)


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.txt")}


def test_a_change_is_shown_made_and_taken_back(client: Any, sprite_folder: Path) -> None:
    (sprite_folder / "sprite_01.txt").write_bytes(b"\xef\xbb\xbfpixel art, \r\n potion  number 1")
    before = files_of(sprite_folder)
    versions = versions_of(client, "sprite_00.png", "sprite_01.png", WEIRD)
    shown = send(client, versions, find="potion", put="flask", dry_run=True).json
    edits = [(e["name"], e["before"], e["after"]) for e in shown["edits"]]
    assert edits == [
        (f"sprite_0{i}.png", f"pixel art, potion number {i}", f"pixel art, flask number {i}") for i in range(2)
    ]
    assert (shown["num_undoable"], shown["entries"], files_of(sprite_folder)) == (0, [], before)

    made = send(client, versions, find="potion", put="flask").json
    assert (made["edits"], made["num_undoable"]) == (shown["edits"], 1)
    assert {e["name"]: e["caption"] for e in made["entries"]} == {name: after for name, _, after in edits}
    assert (sprite_folder / "sprite_01.txt").read_text() == "pixel art, flask number 1\n"
    assert send(client, versions_of(client), add="game item").json["num_undoable"] == 2
    assert versions_of(client) != versions

    assert undo(client).json["num_undoable"] == 1
    answer = undo(client).json
    assert (answer["num_undoable"], answer["problems"], len(answer["edits"])) == (0, [], 2)
    assert files_of(sprite_folder) == before
    assert undo(client).json["edits"] == []


def test_what_another_wrote_meanwhile_stays(client: Any, sprite_folder: Path) -> None:
    versions = versions_of(client)
    other = sprite_folder / "sprite_03.txt"
    other.write_text("by another\n")
    made = send(client, versions, remove="pixel art").json
    assert made["problems"] == ["sprite_03.png: changed on disk meanwhile, and left so"]
    assert next(e for e in made["entries"] if e["name"] == "sprite_03.png")["caption"] == "by another"
    assert (len(made["edits"]), other.read_text()) == (11, "by another\n")
    third = sprite_folder / "sprite_04.txt"
    third.write_text("by a third\n")
    back = undo(client).json
    assert back["problems"] == ["sprite_04.png: changed on disk meanwhile, and left so"]
    assert (len(back["edits"]), third.read_text()) == (10, "by a third\n")


def test_files_that_cannot_be_written_stay_and_are_named(client: Any, sprite_folder: Path) -> None:
    file, broken = sprite_folder / "sprite_03.txt", sprite_folder / "sprite_04.txt"
    file.chmod(0o444)
    broken.write_bytes(b"a caf\xe9 potion")
    for dry_run in (True, False):
        answer = send(client, versions_of(client), find="potion", put="flask", dry_run=dry_run).json
        assert len(answer["edits"]) == 10
        assert len(answer["problems"]) == 2
        assert "sprite_03.txt: read-only, and left so" in "\n".join(answer["problems"])
        assert "sprite_04.png: its file cannot be read as a caption" in "\n".join(answer["problems"])
    assert (file.read_text(), broken.read_bytes()) == ("pixel art, potion number 3\n", b"a caf\xe9 potion")
    sealed = sprite_folder / "sprite_05.txt"
    sealed.chmod(0o444)
    back = undo(client).json
    assert (len(back["edits"]), back["num_undoable"], sealed.read_text()) == (9, 1, "pixel art, flask number 5\n")
    sealed.chmod(0o644)
    assert undo(client).json["num_undoable"] == 0
    assert sealed.read_text() == "pixel art, potion number 5\n"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, "nothing to change"),
        ({"find": "(", "is_pattern": True}, "no pattern that can be searched"),
        ({"find": "potion", "put": "\\1", "is_pattern": True}, "does not go with the groups of find"),
    ],
)
def test_a_mistake_is_answered(client: Any, change: dict[str, Any], problem: str) -> None:
    answer = send(client, versions_of(client), **change)
    assert (answer.status_code, problem in answer.json["problem"]) == (422, True)


def test_bad_requests_and_those_of_others_change_nothing(client: Any, sprite_folder: Path) -> None:
    before = files_of(sprite_folder)
    good = {**NOTHING, "versions": versions_of(client), "find": "potion"}
    for body in ([1], {}, {**good, "versions": [1]}, {**good, "dry_run": "yes"}, {**good, "put": None}):
        assert client.put("/captions", json=body, headers=ORIGIN).status_code == 400
    assert client.put("/captions", json=good, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.put("/captions", json=good, headers={**ORIGIN, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.put("/captions", data=json.dumps(good), content_type="text/plain", headers=ORIGIN).status_code == 415
    assert client.put("/undo", data="{}", content_type="text/plain", headers=ORIGIN).status_code == 415
    answer = send(client, {"../secret.png": "", "sprite_00.txt": ""}, add="x")
    assert (answer.status_code, answer.json["edits"], files_of(sprite_folder)) == (200, [], before)


def test_a_list_of_thousands_of_sprites_is_taken(client: Any) -> None:
    versions = {f"{os.fspath(Path('folder', f'a_sprite_with_a_name_{i:06d}.png'))}": "0" * 16 for i in range(10_000)}
    assert send(client, versions, add="x").status_code == 200


def test_changing_what_a_filter_shows_in_a_browser(browser: Any, address: str, sprite_folder: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def until(holds: Callable[[], Any]) -> Any:
        return WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda _: holds())

    def by_id(name: str) -> Any:
        return browser.find_element(By.ID, name)

    before = files_of(sprite_folder)
    browser.get(address)
    until(lambda: len(browser.find_elements(By.TAG_NAME, "article")) == 13)
    by_id("search").send_keys("number 1")
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "article:not([hidden])")) == 3)
    browser.find_element(By.CSS_SELECTOR, "#bulk summary").click()
    browser.find_element(By.NAME, "find").send_keys("potion")
    browser.find_element(By.NAME, "put").send_keys("<b>flask</b>")
    browser.find_element(By.CSS_SELECTOR, "#bulk button[type=submit]").click()
    until(lambda: by_id("told").text == "3 of 3 captions would change")
    assert by_id("edits").text.split("\n")[:3] == [
        "sprite_01.png", "pixel art, potion number 1", "pixel art, <b>flask</b> number 1",
    ]  # fmt: skip
    assert files_of(sprite_folder) == before
    by_id("apply").click()
    until(lambda: by_id("told").text == "3 captions changed")
    written = {name: text for name, text in files_of(sprite_folder).items() if before[name] != text}
    assert written == {f"sprite_{i}.txt": f"pixel art, <b>flask</b> number {i:d}\n".encode() for i in (10, 11)} | {
        "sprite_01.txt": b"pixel art, <b>flask</b> number 1\n"
    }
    area = browser.find_element(By.CSS_SELECTOR, "article[data-name='sprite_01.png'] textarea")
    assert area.get_property("value") == "pixel art, <b>flask</b> number 1"
    assert not by_id("apply").is_displayed()
    by_id("undo").click()
    until(lambda: by_id("told").text == "3 captions as before")
    assert files_of(sprite_folder) == before
    assert area.get_property("value") == "pixel art, potion number 1"
    assert not by_id("undo").is_displayed()
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.get_log("browser") == []
