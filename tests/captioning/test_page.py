"""The page that edits captions: what is changed there is on disk, and nothing else can be reached."""

import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spritelora.captioning.book import CaptionBook
from spritelora.errors import ConfigError
from tests.captioning.conftest import WEIRD, lint
from tests.conftest import draw_sprite

pytest.importorskip("flask", reason="Flask is not installed")


def put(client: Any, name: str, caption: str, version: str, **headers: str) -> Any:
    sent = {"Origin": "http://localhost", **headers}
    return client.put("/caption", json={"name": name, "caption": caption, "version": version}, headers=sent)


def entry_of(client: Any, name: str) -> dict[str, Any]:
    return next(s for s in client.get("/sprites").json["sprites"] if s["name"] == name)


def test_a_saved_caption_is_on_disk_and_checked_again(client: Any, sprite_folder: Path) -> None:
    old = entry_of(client, "sprite_00.png")
    answer = put(client, old["name"], " a  red\npotion ", old["version"])
    assert answer.status_code == 200
    assert (sprite_folder / "sprite_00.txt").read_text() == "a red potion\n"
    assert {f["kind"] for f in answer.json["entry"]["findings"]} == {"no_style", "short_caption"}
    again = put(client, old["name"], "pixel art, potion number 5", answer.json["entry"]["version"])
    assert [other["name"] for other in again.json["others"]] == ["sprite_05.png"]
    assert list(sprite_folder.glob(".*")) == []


def test_a_missing_caption_is_made(client: Any, sprite_folder: Path) -> None:
    old = entry_of(client, WEIRD)
    assert (old["caption"], old["version"], old["findings"][0]["kind"]) == (None, "", "missing_caption")
    assert put(client, WEIRD, "pixel art, blue potion in a bottle", "").json["entry"]["findings"] == []
    assert (sprite_folder / WEIRD).with_suffix(".txt").read_text() == "pixel art, blue potion in a bottle\n"


def test_a_caption_changed_on_disk_is_not_overwritten(client: Any, sprite_folder: Path) -> None:
    old = entry_of(client, "sprite_01.png")
    (sprite_folder / "sprite_01.txt").write_text("pixel art, written by another program\n")
    answer = put(client, old["name"], "pixel art, mine", old["version"])
    assert answer.status_code == 409
    assert answer.json["entry"]["caption"] == "pixel art, written by another program"
    assert (sprite_folder / "sprite_01.txt").read_text() == "pixel art, written by another program\n"
    assert put(client, old["name"], "pixel art, mine", answer.json["entry"]["version"]).status_code == 200


def test_a_caption_of_another_kind_of_file_is_read_only(sprite_folder: Path) -> None:
    from spritelora.captioning.server import make_app
    from spritelora.sprites.folder.sources import Source

    image = sprite_folder / "sprite_02.png"
    image.with_suffix(".txt").unlink()
    found = [Source(image, image.name, "pixel art, told by metadata.jsonl", 1, ".")]
    client = make_app(CaptionBook(sprite_folder, lint, lambda _folder: (found, {}))).test_client()
    assert entry_of(client, image.name)["writable"] is False
    answer = put(client, image.name, "mine", "")
    assert answer.status_code == 422
    assert "its caption comes from a file of another kind, which is not changed" in answer.json["problem"]
    assert not image.with_suffix(".txt").exists()


def test_everything_that_the_page_names_is_served(client: Any) -> None:
    addresses = re.findall(r'(?:href|src)="([^"]+)"', client.get("/").text)
    assert {"/look.css", "/static/page.css", "/static/page.js"} <= set(addresses)
    assert {client.get(address).status_code for address in addresses} == {200}


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "sprite_00.txt", "", "sprite_00.png/../../secret.png"]
)
def test_only_sprites_of_the_folder_are_reached(client: Any, sprite_folder: Path, name: str) -> None:
    Image.fromarray(draw_sprite(1)).save(sprite_folder.parent / "secret.png")
    assert client.get("/image", query_string={"name": name}).status_code == 404
    assert put(client, name, "mine", "").status_code == 422
    assert client.get("/static/../server.py").status_code == 404
    assert not (sprite_folder.parent / "secret.txt").exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "evil.example:8765", "Origin": "http://evil.example:8765"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:99"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_requests_of_other_sites_are_refused(
    client: Any, sprite_folder: Path, headers: dict[str, str], status: int
) -> None:
    version = entry_of(client, "sprite_00.png")["version"]
    assert put(client, "sprite_00.png", "theirs", version, **headers).status_code == status
    assert (sprite_folder / "sprite_00.txt").read_text() == "pixel art, potion number 0\n"


def test_a_form_cannot_write_and_bad_requests_are_refused(client: Any) -> None:
    origin = {"Origin": "http://localhost"}
    body = json.dumps({"name": "sprite_00.png", "caption": "x", "version": ""})
    assert client.put("/caption", data=body, content_type="text/plain", headers=origin).status_code == 415
    assert client.put("/caption", json={"name": "sprite_00.png"}, headers=origin).status_code == 400
    assert client.put("/caption", json=[1], headers=origin).status_code == 400
    assert put(client, "sprite_00.png", "x" * 100_000, "").status_code == 413
    assert client.put("/caption", json={}).status_code == 403  # no Origin at all
    assert client.get("/sprites", headers={"Host": "evil.example"}).status_code == 400


def test_answers_cannot_be_framed_or_read_by_other_sites(client: Any) -> None:
    headers = client.get("/").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("ground", [(0, 0, 0, 0), (90, 90, 90, 255)])
def test_pictures_show_the_sprite_without_the_padding_of_its_canvas(
    client: Any, sprite_folder: Path, ground: tuple[int, int, int, int]
) -> None:
    figure = draw_sprite(7)[2:-2, 2:-2]
    canvas = np.full((64, 48, 4), ground, np.uint8)
    canvas[20:32, 30:42] = figure
    Image.fromarray(canvas.repeat(8, 0).repeat(8, 1)).save(sprite_folder / "padded.png")
    Image.fromarray(np.full((8, 8, 4), ground, np.uint8)).save(sprite_folder / "plain.png")
    client.get("/sprites")
    shown = np.asarray(Image.open(io.BytesIO(client.get("/image?name=padded.png").data)))
    assert np.array_equal(shown, canvas[18:34, 28:44])
    plain = np.asarray(Image.open(io.BytesIO(client.get("/image?name=plain.png").data)))
    assert plain.shape == (8, 8, 4)


def test_pictures_come_in_native_pixels(client: Any, sprite_folder: Path) -> None:
    sprite = draw_sprite(7)
    Image.fromarray(sprite.repeat(8, 0).repeat(8, 1)).save(sprite_folder / "large.png")
    (sprite_folder / "broken.png").write_bytes(b"no image")
    client.get("/sprites")
    shown = np.asarray(Image.open(io.BytesIO(client.get("/image?name=large.png").data)))
    visible = sprite[..., 3] > 0
    assert np.array_equal(shown[visible], sprite[visible])
    assert not shown[~visible].any()
    answer = client.get("/image?name=broken.png")
    assert answer.status_code == 422
    assert "corrupt or not an image" in answer.json["problem"]


def test_a_read_only_folder_is_told(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = entry_of(client, "sprite_00.png")["version"]

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    answer = put(client, "sprite_00.png", "pixel art, mine", version)
    assert answer.status_code == 422
    assert "sprite_00.txt: the caption cannot be written (Permission denied)" in answer.json["problem"]


def test_a_port_that_is_taken_is_named(book: CaptionBook, address: str) -> None:
    from spritelora.captioning.server import make_page_server

    port = int(address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=rf"port={port}: cannot be listened on .*port=0 takes a free one"):
        make_page_server(book, port)


def test_the_server_listens_on_this_machine_only(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    request = urllib.request.Request(address + "/sprites", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request, timeout=10)


def test_editing_in_a_browser(browser: Any, address: str, sprite_folder: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def until(holds: Callable[[], Any]) -> Any:
        return WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda _: holds())

    def card(name: str) -> Any:
        return next(c for c in browser.find_elements(By.TAG_NAME, "article") if c.get_attribute("data-name") == name)

    def visible() -> list[str]:
        cards = browser.find_elements(By.CSS_SELECTOR, "article:not([hidden])")
        return [c.get_attribute("data-name") for c in cards]

    def type_into(name: str, text: str, end: str = "") -> None:
        area = card(name).find_element(By.TAG_NAME, "textarea")
        area.send_keys(Keys.CONTROL, "a")
        area.send_keys(text + end)

    browser.get(address)
    until(lambda: len(visible()) == 13)
    until(lambda: card("sprite_00.png").find_element(By.TAG_NAME, "img").get_property("naturalWidth") == 16)
    image = card("sprite_00.png").find_element(By.TAG_NAME, "img")
    assert image.value_of_css_property("image-rendering") == "pixelated"
    assert image.size == {"width": 256, "height": 256}

    type_into("sprite_00.png", "pixel art, a potion of fire")
    until(lambda: (sprite_folder / "sprite_00.txt").read_text() == "pixel art, a potion of fire\n")

    type_into(WEIRD, "pixel art, blue <b>potion</b>", Keys.ENTER)
    written = (sprite_folder / WEIRD).with_suffix(".txt")
    until(lambda: written.is_file() and written.read_text() == "pixel art, blue <b>potion</b>\n")
    assert browser.find_elements(By.CSS_SELECTOR, "article b") == []

    type_into("sprite_01.png", "a potion", Keys.ENTER)
    until(lambda: "no style" in browser.find_element(By.ID, "filters").text)
    browser.find_element(By.CSS_SELECTOR, "button[data-kind=no_style]").click()
    assert visible() == ["sprite_01.png"]
    browser.find_element(By.CSS_SELECTOR, "button[data-kind=all]").click()
    browser.find_element(By.ID, "search").send_keys("FIRE")
    until(lambda: visible() == ["sprite_00.png"])

    file = sprite_folder / "sprite_00.txt"
    file.write_text("pixel art, by another program\n")
    type_into("sprite_00.png", "pixel art, mine alone", Keys.ENTER)
    conflict = card("sprite_00.png").find_element(By.CSS_SELECTOR, ".conflict")
    until(conflict.is_displayed)
    assert "pixel art, by another program" in conflict.text
    assert file.read_text() == "pixel art, by another program\n"
    conflict.find_element(By.CLASS_NAME, "mine").click()
    until(lambda: file.read_text() == "pixel art, mine alone\n")
    assert not conflict.is_displayed()

    file.write_text("pixel art, by another program again\n")
    type_into("sprite_00.png", "pixel art, mine once more", Keys.ENTER)
    until(conflict.is_displayed)
    conflict.find_element(By.CLASS_NAME, "theirs").click()
    area = card("sprite_00.png").find_element(By.TAG_NAME, "textarea")
    until(lambda: area.get_property("value") == "pixel art, by another program again")
    assert file.read_text() == "pixel art, by another program again\n"
    assert [line for line in browser.get_log("browser") if "409" not in line["message"]] == []


def test_the_page_fits_a_phone(browser: Any, address: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(address)
    WebDriverWait(browser, 15).until(lambda b: b.execute_script("return document.querySelectorAll('article').length"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_a_caption_that_is_no_text_is_shown_and_can_be_mended(sprite_folder: Path) -> None:
    from spritelora.captioning.server import make_app

    file = sprite_folder / "sprite_00.txt"
    file.write_bytes(b"a caf\xe9 \x07gem")
    client = make_app(CaptionBook(sprite_folder, lint)).test_client()
    old = entry_of(client, "sprite_00.png")
    assert (old["caption"], old["writable"]) == ("a caf\N{REPLACEMENT CHARACTER} gem", True)
    assert old["findings"][0]["message"].startswith("sprite_00.txt: cannot be read as UTF-8 text")
    answer = put(client, "sprite_00.png", "pixel art, a caf\u00e9 gem", old["version"])
    assert answer.status_code == 200
    assert file.read_text(encoding="utf-8") == "pixel art, a caf\u00e9 gem\n"
    assert not [f for f in entry_of(client, "sprite_00.png")["findings"] if f["severity"] == "error"]


@pytest.mark.parametrize("caption", ["a \x07 gem", "a \x1b[31m gem", "a \x00 gem", "a \x9b gem"])
def test_a_caption_that_nothing_could_read_is_not_saved(caption: str, client: Any, sprite_folder: Path) -> None:
    before = (sprite_folder / "sprite_00.txt").read_bytes()
    answer = put(client, "sprite_00.png", caption, entry_of(client, "sprite_00.png")["version"])
    assert answer.status_code == 422
    assert "holds the control character U+00" in answer.json["problem"]
    assert (sprite_folder / "sprite_00.txt").read_bytes() == before


def test_a_read_only_caption_is_shown_as_that_and_stays(client: Any, sprite_folder: Path) -> None:
    file = sprite_folder / "sprite_00.txt"
    file.chmod(0o444)
    entry = entry_of(client, "sprite_00.png")
    assert not entry["writable"]
    answer = put(client, "sprite_00.png", "pixel art, another gem", entry["version"])
    assert (answer.status_code, "read-only, and left so" in answer.json["problem"]) == (422, True)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("pixel art, potion number 0\n", 0o444)


def test_json_of_too_many_levels_is_refused(client: Any) -> None:
    headers = {"Origin": "http://localhost", "Content-Type": "application/json"}
    assert client.put("/caption", data="[" * 60_000, headers=headers).status_code == 400
