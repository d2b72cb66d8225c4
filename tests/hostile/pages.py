"""Hostile requests to the page that edits captions."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.images import ESCAPES, sprite_png
from tests.hostile.trial import Kind

HOME = {"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}

Request = dict[str, Any]


def put(name: Any = "a.png", caption: Any = "a red gem", version: Any = None, **headers: str) -> Request:
    body = {"name": name, "caption": caption, "version": version}
    return {"method": "PUT", "path": "/caption", "json": body, "headers": {**HOME, **headers}}


def get(path: str, **headers: str) -> Request:
    return {"method": "GET", "path": path, "headers": {**HOME, **headers}}


REFUSED: dict[str, Request] = {
    "an image upwards": get("/image?name=../victim/treasure.txt"),
    "an image upwards, encoded": get("/image?name=..%2f..%2fvictim%2ftreasure.txt"),
    "an absolute image": get("/image?name=/etc/passwd"),
    "an image of NUL": get("/image?name=a%00.png"),
    "an image not UTF-8": get("/image?name=%ff.png"),
    "no image": get("/image"),
    "a static file upwards": get("/static/../server.py"),
    "a static file upwards, encoded": get("/static/..%2f..%2ferrors.py"),
    "a static file upwards, of Windows": get("/static/..\\server.py"),
    "another path": get("/etc/passwd"),
    "another host": get("/sprites", Host="evil.example"),
    "another site": get("/sprites", **{"Sec-Fetch-Site": "cross-site"}),
    "a caption of another site": put(Origin="http://evil.example"),
    "a caption without an origin": {**put(), "headers": {"Host": "127.0.0.1"}},
    "a caption as a form": {"method": "PUT", "path": "/caption", "data": "name=a.png", "headers": {**HOME, "Content-Type": "text/plain"}},
    "a caption by POST": {**put(), "method": "POST"},
    "a deletion": {**put(), "method": "DELETE"},
    "a caption upwards": put("../victim/treasure.txt"),
    "a caption of an absolute file": put("/etc/passwd"),
    "a caption of no sprite": put("b.png"),
    "a caption of an old version": put(version="0" * 16),
    "no JSON": {"method": "PUT", "path": "/caption", "data": "{", "headers": {**HOME, "Content-Type": "application/json"}},
    "deep JSON": {"method": "PUT", "path": "/caption", "data": "[" * 60_000, "headers": {**HOME, "Content-Type": "application/json"}},
    "a list": {"method": "PUT", "path": "/caption", "json": [1], "headers": HOME},
    "a name that is a list": put(["a.png"]),
    "a caption that is null": put(caption=None),
    "a version that is a number": put(version=5),
    "a caption of 70 KB": put(caption="a gem " * 12_000),
    "a caption with a bell": put(caption="a \x07 gem"),
    "a caption with escapes": put(caption=ESCAPES),
    "a caption with C1": put(caption="a \x9b31m gem"),
    "a caption with half a surrogate": put(caption="a \ud800 gem"),
    "a caption with a NUL": put(caption="a \0 gem"),
}  # fmt: skip
TAKEN: dict[str, Request] = {
    "a caption": put(),
    "markup": put(caption="<script>alert(1)</script>"),
    "U+2028": put(caption="a\u2028gem"),
    "lines": put(caption="a\r\ngem\n\nred"),
    "an empty caption": put(caption=""),
    "formats": put(caption="%s {0} ${x}"),
    "the page": get("/"),
    "the sprites": get("/sprites"),
    "the image": get("/image?name=a.png"),
}
SPOILT: dict[str, Callable[[Path], object]] = {
    "a text not UTF-8": lambda given: (given / "a.txt").write_bytes(b"a caf\xe9 gem"),
    "a text with a bell": lambda given: (given / "a.txt").write_bytes(b"a \x07 gem"),
    "a text of zeros": lambda given: (given / "a.txt").write_bytes(bytes(99)),
    "a text of 70 KB": lambda given: (given / "a.txt").write_bytes(b"a gem " * 12_000),
}


def kinds() -> Iterator[Kind]:
    """All kinds about the page."""

    def plant(spoil: Callable[[Path], object] | None = None, rights: int = 0o644) -> Callable[[Path], object]:
        def make(given: Path) -> None:
            (given / "a.png").write_bytes(sprite_png())
            (given / "a.txt").write_text("a gem\n")
            if spoil:
                spoil(given)
            (given / "a.txt").chmod(rights)

        return make

    for name, request in {**REFUSED, **TAKEN}.items():
        words = ("tests/hostile/ask_page.py", "{given}", json.dumps(request).replace("{given}", ""))
        is_taken = name in TAKEN
        yield Kind("caption page", name, plant(), words, may="taken" if is_taken else "refused", edits=is_taken)
    for name, spoil in SPOILT.items():
        for what, request in (("shown", get("/sprites")), ("mended", put())):
            words = ("tests/hostile/ask_page.py", "{given}", json.dumps(request))
            yield Kind("caption page", f"{name}, {what}", plant(spoil), words, may="taken", edits=True)
    words = ("tests/hostile/ask_page.py", "{given}", json.dumps(put()))
    yield Kind("caption page", "a read-only text", plant(rights=0o444), words)
