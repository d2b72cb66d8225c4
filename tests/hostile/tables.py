"""Hostile captions, tables, data files of sheets, palettes and files of prompts."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.hostile.images import CHECK, ESCAPES, READ, png, sprite_png
from tests.hostile.trial import Kind
from tests.sprites.sheets.made_sheets import draw_cutouts, frame_at, lay_out, rect, tag, write_json

PREPARE = ("scripts/prepare.py", "input={given}", "output={out}", "workers=1")
CAPTIONS = ("scripts/caption.py", "data.path={given}", "mode=validate")
PALETTE = ("tests/hostile/read_file.py", "palette", "{given}")
PROMPTS = ("tests/hostile/read_file.py", "prompts", "{given}/prompts.txt")

Plant = Callable[[Path], object]
Content = bytes | Callable[[], bytes]

MB = 1 << 20
DEEP = b'{"a":' * 100_000

TEXTS: dict[str, Content] = {
    "empty": b"",
    "blank": b" \n\t\n",
    "not UTF-8": b"a caf\xe9 gem",
    "UTF-16": "a gem".encode("utf-16"),
    "a NUL": b"a \x00 gem",
    "a bell": b"a \x07 gem",
    "escapes": f"a {ESCAPES} gem".encode(),
    "C1": "a \x9b31m gem".encode(),
    "half a surrogate": b"a \xed\xa0\x80 gem",
    "70 KB": b"a gem " * 12_000,
    "90 MB": lambda: b"a gem " * (15 * MB),
    "zeros": bytes(5000),
}
TEXTS_TAKEN: dict[str, Content] = {
    "with a mark of order": b"\xef\xbb\xbfa gem, red\n",
    "a forged line": b"a gem\nFORGED error: all is lost",
    "U+2028": "a gem\u2028FORGED".encode(),
    "right to left": "a \u202egem".encode(),
    "markup": b"<script>alert(1)</script><img src=x onerror=alert(1)>",
    "formats": b"%s %d {0} {name} ${oc.env:HOME} ${hydra:runtime.cwd}",
    "commas": b"," * 60_000,
    "one word of 60,000 letters": b"a" * 60_000,
    "60,000 combining marks": ("a" + "\u0301" * 30_000).encode(),
    "an emoji of many parts": ("\U0001f468\u200d" * 5000).encode(),
    "a regular expression's trap": b"transparent " * 5000,
}


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content()


def _with_text(content: Content, suffix: str = ".txt") -> Plant:
    def plant(given: Path) -> None:
        (given / "a.png").write_bytes(sprite_png())
        (given / f"a{suffix}").write_bytes(_bytes(content))

    return plant


def row(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


JSONL: dict[str, Content] = {
    "not JSON": b"{\n",
    "a list": b"[1]\n",
    "null": b"null\n",
    "a number of 5,000 digits": b"9" * 5000 + b"\n",
    "NaN": b'{"file_name": "a.png", "text": NaN}\n',
    "deep": DEEP + b"\n",
    "no name": row(text="a gem"),
    "a name that is a number": row(file_name=1, text="a gem"),
    "a name that is a list": row(file_name=["a.png"], text="a gem"),
    "no text": row(file_name="a.png"),
    "a text that is a list": row(file_name="a.png", text=["a"]),
    "a path upwards": row(file_name="../victim/treasure.txt", text="a gem"),
    "an absolute path": row(file_name="/etc/passwd", text="a gem"),
    "a path of Windows": row(file_name="C:\\x\\a.png", text="a gem"),
    "a name with a NUL": row(file_name="a\0.png", text="a gem"),
    "a name with escapes": row(file_name=f"{ESCAPES}.png", text="a gem"),
    "a name that is not there": row(file_name="b.png", text="a gem"),
    "two captions": row(file_name="a.png", text="a gem") + row(file_name="a.png", text="a key"),
    "a caption of 64 MB": lambda: row(file_name="a.png", text="a gem " * (10 * MB)),
    "escapes": row(file_name="a.png", text=ESCAPES),
    "half a surrogate": b'{"file_name": "a.png", "text": "\\ud800"}\n',
    "not UTF-8": b'{"file_name": "a.png", "text": "caf\xe9"}\n',
    "90 MB of one line": lambda: b'{"file_name": "' + b"x" * (90 * MB) + b'"}\n',
    "10,000,000 lines": lambda: b"{}\n" * 10_000_000,
    "100,000 rows of nothing": lambda: b'{"file_name": "x.png", "text": "a"}\n' * 100_000,
    "a line of 1,000,000 keys": lambda: b'{"a":1' + b',"b":1' * 1_000_000 + b"}\n",
}
CSV: dict[str, Content] = {
    "an open quote": b'file_name,text\na.png,"a gem\n',
    "an open quote before a row": b'file_name,text\na.png,"a gem\nb.png,a key"\n',
    "an open quote before a row, text first": b'text,file_name\n"a gem\na key",b.png\n"a\nc,b.png",a.png\n',
    "a quote within a quote": b'file_name,text\na.png,"a "red" gem"\n',
    "too many values": b"file_name,text\na.png,a gem,red\n",
    "a NUL": b"file_name,text\na.png,a\0gem\n",
    "no columns": b"\n\n",
    "another column": b"name,words\na.png,a gem\n",
    "a field of 1 MB": lambda: b'file_name,text\na.png,"' + b"a " * (MB // 2) + b'"\n',
    "90 MB": lambda: b"file_name,text\n" + b"a.png,a gem\n" * (90 * MB // 12),
    "1,000,000 columns": lambda: b"file_name,text" + b",x" * 1_000_000 + b"\na.png,a gem\n",
    "not UTF-8": b"file_name,text\na.png,caf\xe9\n",
    "a formula": b"file_name,text\n=cmd|' /C calc'!A0,a gem\n",
    "carriage returns": b"file_name,text\ra.png,a gem\r",
}  # fmt: skip


def _with_table(name: str, content: Content) -> Plant:
    def plant(given: Path) -> None:
        for image in ("a.png", "b.png"):
            (given / image).write_bytes(sprite_png(image == "a.png"))
        (given / name).write_bytes(_bytes(content))

    return plant


def _sheet(given: Path) -> Path:
    Image.fromarray(lay_out([*draw_cutouts(6)], 6)).save(given / "hero.png")
    return given / "hero.png"


def _index(frames: Any = None, tags: Any = None, **meta: Any) -> Plant:
    good = [{"filename": f"hero {i}", **frame_at(16 * i, 0)} for i in range(6)]
    return lambda given: write_json(_sheet(given), good if frames is None else frames, tags, **meta)


def _index_text(content: Content, suffix: str = ".json") -> Plant:
    return lambda given: _sheet(given).with_suffix(suffix).write_bytes(_bytes(content))


def many_frames(number: int, name: str = "hero {}") -> list[dict[str, Any]]:
    return [{"filename": name.format(i), **frame_at(16 * (i % 6), 0)} for i in range(number)]


INDEXES: dict[str, Plant] = {
    "not JSON": _index_text(b"{"),
    "deep": _index_text(DEEP),
    "deep lists": _index_text(b"[" * 200_000),
    "a number of 5,000 digits": _index_text(b'{"frames": [{"frame": {"x": ' + b"9" * 5000 + b"}}], \"meta\": {}}"),
    "frames a number": _index(7),
    "frames of null": _index([None]),
    "no frames": _index([]),
    "70,000 frames": lambda given: _index(many_frames(70_000))(given),
    "20,000 tags": lambda given: _index(None, [tag(f"t{i}", 0, 5) for i in range(20_000)])(given),
    "tags a number": _index(None, 5),  # pyright: ignore
    "a tag that ends before it begins": _index(None, [tag("walk", 5, 0)]),
    "a tag of 2^63": _index(None, [tag("walk", 0, 2**63)]),
    "a frame out of the sheet": _index([{"filename": "a", **frame_at(500, 0)}]),
    "a frame of negative size": _index([{"filename": "a", **frame_at(0, 0, frame=rect(0, 0, -5, 5))}]),
    "a frame of 1e999": _index_text(b'{"frames": [{"filename": "a", "frame": {"x": 1e999, "y": 0, "w": 1, "h": 1}}], "meta": {}}'),
    "a frame of NaN": _index_text(b'{"frames": [{"filename": "a", "frame": {"x": NaN, "y": 0, "w": 1, "h": 1}}], "meta": {}}'),
    "a huge canvas": _index([{"filename": "a", **frame_at(0, 0, sourceSize={"w": 16_000, "h": 16_000})}]),
    "a name twice": _index_text(b'{"frames": {"a": {}, "a": {}}, "meta": {}}'),
    "200,000 names, one twice": _index_text(b'{"frames": {' + b",".join(b'"%d": 1' % i for i in [*range(200_000), 7]) + b'}, "meta": {}}'),
    "another size": _index(None, None, size={"w": 1, "h": 1}),
    "XML cut off": _index_text(b"<TextureAtlas><SubTexture ", ".xml"),
    "XML with a DOCTYPE": _index_text(b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><TextureAtlas imagePath='hero.png'>&b;</TextureAtlas>", ".xml"),
    "XML of a billion laughs": _index_text(b"<!DOCTYPE a [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><TextureAtlas imagePath='hero.png'><SubTexture name='&b;'/></TextureAtlas>", ".xml"),
    "XML with numbers of words": _index_text(b"<TextureAtlas imagePath='hero.png'><SubTexture name='a' x='x' y='0' width='1' height='1'/></TextureAtlas>", ".xml"),
    "XML with nan": _index_text(b"<TextureAtlas imagePath='hero.png'><SubTexture name='a' x='nan' y='0' width='1' height='inf'/></TextureAtlas>", ".xml"),
    "XML of 100,000 parts": _index_text(b"<TextureAtlas imagePath='hero.png'>" + b"<SubTexture name='a' x='0' y='0' width='1' height='1'/>" * 100_000 + b"</TextureAtlas>", ".xml"),
}  # fmt: skip
INDEXES_TAKEN: dict[str, Plant] = {
    "names with escapes": _index([{"filename": f"{ESCAPES}{i}", **frame_at(16 * i, 0)} for i in range(6)]),
    "names that are paths": _index([{"filename": f"../../victim/{i}", **frame_at(16 * i, 0)} for i in range(6)]),
    "names of devices": _index([{"filename": n, **frame_at(16 * i, 0)} for i, n in enumerate(("aux", "nul", "con"))]),
    "tags with escapes": _index(None, [tag(f"{ESCAPES}\nFORGED", 0, 5)]),
    "6,000 frames of one name": _index(many_frames(6000, "hero")),
    "names that backtrack": _index([{"filename": "#" + " " * 250 + "!", **frame_at(16 * (i % 6), 0)} for i in range(3000)]),
    "3,000 frames in 1,000 tags": _index(many_frames(3000), [tag(f"t{i}", 0, 2999) for i in range(1000)]),
    "an image out of the folder": _index(None, None, image="../victim/treasure.txt"),
    "an image that is a number": _index(None, None, image=5),
    "32 MB of another kind": _index_text(lambda: b'{"x": [' + b"0," * (15 * MB) + b"0]}"),
    "31 MB of rectangles that are none": _index_text(lambda: b"[" + b'{"x":1},' * (3 * MB) + b"0]"),
    "layers that are deep": _index(None, None, layers=[[[[[]]]]]),
    "a Unity file": _index_text(b"sprites:\n  - name: !!python/object/apply:os.system ['touch sprung']\n", ".png.meta"),
    "a property list": _index_text(b"<!DOCTYPE plist SYSTEM 'http://127.0.0.1:9/x.dtd'><plist/>", ".plist"),
}  # fmt: skip

LAYOUTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "8192 x 8192 empty": (lambda: png(8192, 8192, 1, 3), "sheet=32x32"),
    "8192 x 8192, cells sought": (lambda: png(8192, 8192, 1, 0), "sheet=auto"),
    "4096 x 4096 empty, cells sought": (lambda: png(4096, 4096, 1, 0), "sheet=auto"),
    "cells of 1 px": (lambda: png(1024, 1024, 1, 0), "sheet=1x1"),
    "a cell of 2^60": (lambda: sprite_png(), f"sheet={2**60}x1"),
    "a cell of 0": (lambda: sprite_png(), "sheet=0x0"),
    "a cell of words": (lambda: sprite_png(), "sheet=$(touch sprung)"),
}

PALETTES: dict[str, tuple[str, Content]] = {
    "GPL of nothing": ("p.gpl", b""),
    "GPL without its head": ("p.gpl", b"1 2 3\n"),
    "GPL of words": ("p.gpl", b"GIMP Palette\na b c\n"),
    "GPL over 255": ("p.gpl", b"GIMP Palette\n256 0 0\n"),
    "GPL of negative numbers": ("p.gpl", b"GIMP Palette\n-1 0 0\n"),
    "GPL of 300 colours": ("p.gpl", b"GIMP Palette\n" + b"".join(b"%d %d 0\n" % (i % 256, i // 256) for i in range(300))),
    "GPL of 40 MB": ("p.gpl", lambda: b"GIMP Palette\n" + b"0 0 0\n" * (7 * MB)),
    "GPL of other digits": ("p.gpl", "GIMP Palette\n\u0661 \u0662 \u0663 \u0664\n".encode()),
    "hex of words": ("p.hex", b"zzzzzz\n"),
    "hex of 7 digits": ("p.hex", b"1234567\n"),
    "hex with escapes": ("p.hex", f"{ESCAPES}\n".encode()),
    "hex that is UTF-16": ("p.hex", "ff0000".encode("utf-16")),
    "JASC with another number": ("p.pal", b"JASC-PAL\n0100\n9\n0 0 0\n"),
    "JASC with a number of 5,000 digits": ("p.pal", b"JASC-PAL\n0100\n" + b"9" * 5000 + b"\n0 0 0\n"),
    "JASC of nothing": ("p.pal", b"JASC-PAL\n0100\n0\n"),
    "RIFF": ("p.pal", b"RIFF\x10\0\0\0PAL data"),
    "PNG of 8192 x 8192": ("p.png", png(8192, 8192, 1, 0)),
    "PNG of noise": ("p.png", b""),
    "PNG cut off": ("p.png", sprite_png()[:60]),
    "PNG that is empty": ("p.png", png(16, 16)),
    "another kind": ("p.aco", b"\0\1"),
    "a pickle": ("p.gpl", b"cos\nsystem\n(S'touch sprung'\ntR."),
}  # fmt: skip

PROMPT_FILES: dict[str, Content] = {
    "empty": b"",
    "comments alone": b"# a\n#b\n",
    "not UTF-8": b"caf\xe9\n",
    "UTF-16": "a gem\n".encode("utf-16"),
    "options": b"a gem --n blurry --w 5000\n",
    "a prompt twice": b"a gem\na gem\n",
    "50 MB": lambda: b"a gem %d\n" * 6_000_000,
    "200,000 prompts": b"".join(b"a gem %d\n" % i for i in range(200_000)),
    "a prompt of 900 KB": b"a " * 450_000,
    "escapes": f"a {ESCAPES}\n".encode() * 2,
    "a forged line": b"a gem\rFORGED --n x\n",
    "a NUL": b"a \0 gem\n",
}
PROMPT_FILES_TAKEN: dict[str, Content] = {
    "code": b"__import__('os').system('touch sprung')\n${oc.env:HOME}\n{0}\n",
    "paths": b"../../victim/treasure.txt\n/etc/passwd\n",
}


def kinds() -> Iterator[Kind]:
    """All kinds about texts and tables."""
    yield from _captions()
    for name, content in JSONL.items():
        yield Kind("metadata.jsonl", name, _with_table("metadata.jsonl", content), READ)
    for name, content in CSV.items():
        yield Kind("metadata.csv", name, _with_table("metadata.csv", content), READ)
    yield from _sheets()
    for name, (file, content) in PALETTES.items():
        yield Kind("palette", name, _file(file, content), PALETTE)
    for name, content in {**PROMPT_FILES, **PROMPT_FILES_TAKEN}.items():
        is_odd = name == "a NUL"
        may = "taken" if name in PROMPT_FILES_TAKEN else "either" if is_odd else "refused"
        yield Kind("prompts file", name, _file("prompts.txt", content), PROMPTS, may=may)


def _file(name: str, content: Content) -> Plant:
    return lambda given: (given / name).write_bytes(_bytes(content))


def _captions() -> Iterator[Kind]:
    for name, content in TEXTS.items():
        for suffix in (".txt", ".caption"):
            may = "either" if name in ("empty", "blank") else "refused"
            yield Kind(f"caption ({suffix})", name, _with_text(content, suffix), CHECK, may=may)
    for name, content in TEXTS_TAKEN.items():
        yield Kind("caption (prepare)", name, _with_text(content), PREPARE, may="either")
        yield Kind("caption (validate)", name, _with_text(content), CAPTIONS, may="either")


def _sheets() -> Iterator[Kind]:
    for name, plant in INDEXES.items():
        yield Kind("sheet's data file", name, plant, CHECK, may="either" if "laughs" in name else "refused")
    for name, plant in INDEXES_TAKEN.items():
        yield Kind("sheet's data file", name, plant, (*PREPARE, "create_captions=true", "resolution=64"), may="either")
    for name, (content, layout) in LAYOUTS.items():
        yield Kind("sheet", name, _file("a.png", content), (*CHECK, layout))
