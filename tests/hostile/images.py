"""Hostile images: small files that unpack to much, damaged ones, pixels without a colour, and what only looks like one."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import draw_sprite
from tests.hostile.trial import Kind
from tests.sprites.ase import made_files as made

CHECK = ("scripts/prepare.py", "input={given}", "validate_only=true", "workers=1")
PREPARE = ("scripts/prepare.py", "input={given}", "output={out}", "workers=1", "create_captions=true")
READ = ("tests/hostile/read_set.py", "{given}")
"""Reads a folder as training does, without a base."""

ESCAPES = "\x1b[31mred\x1b]0;title\x07"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int = 8, colour: int = 6, data: bytes | None = None, *more: bytes) -> bytes:
    """A PNG of zeros, or of the given compressed data, whatever its size."""
    if data is None:
        bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth
        row = b"\0" + bytes(-(-width * bits // 8))
        packer = zlib.compressobj(9)
        data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), palette, *more, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    )


def sprite_png(seed: int = 1, size: int = 16) -> bytes:
    content = io.BytesIO()
    Image.fromarray(draw_sprite(seed, size)).save(content, "PNG")
    return content.getvalue()


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def noise(side: int, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels), form)


def frames(number: int, side: int, form: str) -> bytes:
    """An animation of distinct frames."""
    pictures = [Image.new("RGB", (side, side), (n % 256, n // 256 % 256, 7)) for n in range(number)]
    return saved(pictures[0], form, save_all=True, append_images=pictures[1:], duration=20)


def text_bomb() -> bytes:
    """A PNG whose text unpacks to 64 MB."""
    return png(16, 16, 8, 6, None, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9)))


def profile_bomb() -> bytes:
    return png(16, 16, 8, 6, None, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(64 << 20), 9)))


def exif(content: bytes) -> bytes:
    return png(16, 16, 8, 6, None, chunk(b"eXIf", content))


def checkers(side: int) -> bytes:
    """A picture of single pixels, all different from their neighbours, of 1 bit: small, and all edges."""
    rows = [b"\0" + bytes([0x55 if y % 2 else 0xAA]) * (side // 8) for y in range(side)]
    return png(side, side, 1, 0, zlib.compress(b"".join(rows), 9))


def apng_claims(number: int) -> bytes:
    return png(16, 16, 8, 6, None, chunk(b"acTL", struct.pack(">II", number, 0)))


def text_with(title: str) -> bytes:
    info = PngInfo()
    info.add_text("Title", title)
    return saved(Image.fromarray(draw_sprite(3)), "PNG", pnginfo=info)


def ase(*frames: list[bytes], size: tuple[int, int] = (16, 16), flags: int = 1) -> bytes:
    return made.File(size, frames, flags=flags).encode()


def ase_bomb() -> bytes:
    """A picture of 16 x 16 px whose data unpack to 256 MB."""
    cel = made.cel(0, draw_sprite(1))
    return ase([made.layer(), made.chunk(0x2005, cel[6:26] + zlib.compress(bytes(256 << 20), 9))])


def ase_layers(number: int, side: int, mode: int, alpha: int) -> bytes:
    """Layers that each fill the canvas, of one picture that is packed once."""
    cels = made.cel(0, np.full((side, side, 4), (9, 90, 200, alpha), dtype=np.uint8))
    body = [made.chunk(0x2005, struct.pack("<H", i) + cels[8:]) for i in range(number)]
    return ase([*[made.layer(mode=mode)] * number, *body], size=(side, side))


GIF = frames(3, 16, "GIF")
WEBP = saved(Image.fromarray(draw_sprite(2)), "WEBP", lossless=True)
JPEG = saved(Image.fromarray(draw_sprite(2)[..., :3]), "JPEG")
BMP = saved(Image.fromarray(draw_sprite(2)[..., :3]), "BMP")

Content = Callable[[], bytes]

BAD: dict[str, tuple[str, Content]] = {
    "empty": ("a.png", lambda: b""),
    "one byte": ("a.png", lambda: b"\x89"),
    "signature alone": ("a.png", lambda: b"\x89PNG\r\n\x1a\n"),
    "cut PNG": ("a.png", lambda: sprite_png()[:-40]),
    "cut JPEG": ("a.jpg", lambda: JPEG[:-200]),
    "cut GIF": ("a.gif", lambda: GIF[:60]),
    "cut WebP": ("a.webp", lambda: WEBP[: len(WEBP) // 2]),
    "cut BMP": ("a.bmp", lambda: BMP[:-30]),
    "flipped bit": ("a.png", lambda: sprite_png()[:60] + bytes([sprite_png()[60] ^ 1]) + sprite_png()[61:]),
    "zeros": ("a.png", lambda: bytes(5000)),
    "random": ("a.png", lambda: np.random.default_rng(0).bytes(5000)),
    "PNG of sizes 0": ("a.png", lambda: png(0, 0)),
    "PNG of width 0": ("a.png", lambda: png(0, 5)),
    "PNG without data": ("a.png", lambda: png(16, 16, 8, 6, b"")),
    "PNG with too little data": ("a.png", lambda: png(16, 16, 8, 6, zlib.compress(bytes(100)))),
    "PNG of depth 3": ("a.png", lambda: png(16, 16, 3, 0, zlib.compress(bytes(600)))),
    "PNG of colour type 9": ("a.png", lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 9, 0, 0, 0)) + chunk(b"IEND", b"")),
    "PNG of 2^31 px": ("a.png", lambda: png(2**31 - 1, 2**31 - 1, 8, 6, b"x")),
    "PNG of 100,000 x 1": ("a.png", lambda: png(100_000, 1)),
    "PNG of 1 x 60,000": ("a.png", lambda: png(1, 60_000, 1, 0)),
    "PNG of 20,000 x 20,000, 1 bit": ("a.png", lambda: png(20_000, 20_000, 1, 0)),
    "PNG of 8192 x 8192": ("a.png", lambda: png(8192, 8192, 1, 0)),
    "PNG of 4000 x 4000": ("a.png", lambda: png(4000, 4000, 1, 0)),
    "PNG of 4000 x 4000 checkers": ("a.png", lambda: checkers(4000)),
    "noise of 1500": ("a.png", lambda: noise(1500)),
    "PNG of 8192 x 8192, 16 bits": ("a.png", lambda: png(8192, 8192, 16, 6)),
    "PNG of 8000 x 8000 checkers": ("a.png", lambda: checkers(8000)),
    "palette PNG of 8192 x 8192": ("a.png", lambda: png(8192, 8192, 1, 3)),
    "interlaced claims": ("a.png", lambda: sprite_png()[:28] + b"\1" + sprite_png()[29:]),
    "text of 64 MB": ("a.png", text_bomb),
    "profile of 64 MB": ("a.png", profile_bomb),
    "GIF of 65,535 x 65,535": ("a.gif", lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"),
    "GIF without a frame": ("a.gif", lambda: b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0, 0, 0) + b";"),
    "WebP of huge claims": ("a.webp", lambda: WEBP[:24] + b"\xff\xff\xff\xff" + WEBP[28:]),
    "BMP of negative height": ("a.bmp", lambda: BMP[:22] + struct.pack("<i", -(2**30)) + BMP[26:]),
    "BMP of 2^31 px": ("a.bmp", lambda: BMP[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + BMP[26:]),
    "JPEG of 65,535 x 65,535": ("a.jpg", lambda: JPEG[: JPEG.index(b"\xff\xc0") + 5] + b"\xff\xff\xff\xff" + JPEG[JPEG.index(b"\xff\xc0") + 9 :]),
    "Aseprite: cut": ("a.aseprite", lambda: ase([made.layer(), made.cel(0, draw_sprite(1))])[:-50]),
    "Aseprite: its header alone": ("a.ase", lambda: ase([made.layer()])[:128]),
    "Aseprite: 256 MB in a cel": ("a.aseprite", ase_bomb),
    "Aseprite: 65,535 x 65,535": ("a.aseprite", lambda: ase([made.layer()], size=(65_535, 65_535))),
    "Aseprite: 65,535 frames, none there": ("a.aseprite", lambda: ase([made.layer()])[:6] + b"\xff\xff" + ase([made.layer()])[8:]),
    "Aseprite: 2^32 parts in a frame": ("a.aseprite", lambda: ase([made.layer()])[:140] + b"\xff" * 4 + ase([made.layer()])[144:]),
    "Aseprite: links in a circle": ("a.aseprite", lambda: ase([made.layer(), made.link(0, 1)], [made.link(0, 0)])),
    "Aseprite: 30,000 groups in one another": ("a.aseprite", lambda: ase([made.group("g", level=i) for i in range(30_000)])),
    "Aseprite: 4,000 groups of 4,000 x 4,000": ("a.aseprite", lambda: ase([made.layer(), *[made.group("g")] * 4000], size=(4000, 4000), flags=3)),
    "Aseprite: 600,000 empty parts": ("a.aseprite", lambda: ase([made.layer(), *[made.chunk(0x2020, b"")] * 600_000])),
    "Aseprite: 1,000 layers of 1,000 x 1,000": ("a.aseprite", lambda: ase_layers(1000, 1000, 0, 100)),
    "Aseprite: 9 layers of hue of 1,000 x 1,000": ("a.aseprite", lambda: ase_layers(9, 1000, 12, 255)),
    "Aseprite: a tile of 2^29": ("a.aseprite", lambda: ase([made.tileset(0, np.ones((2, 4, 4, 4))), made.layer(kind=2), made.tilemap(0, np.full((1, 1), 2**29 - 1))])),
    "Aseprite: tileset of 2^32 tiles": ("a.aseprite", lambda: ase([made.layer(), made.chunk(0x2023, b"\xff" * 18 + bytes(16) + b"\0\0")])),
    "Aseprite: palette to 2^32": ("a.aseprite", lambda: ase([made.layer(), made.chunk(0x2019, b"\xff" * 12 + bytes(8))])),
    "Aseprite: slice with 2^32 keys": ("a.aseprite", lambda: ase([made.layer(), made.chunk(0x2022, b"\xff" * 4 + bytes(10))])),
    "Aseprite: a name with escapes": ("a.aseprite", lambda: ase([made.layer(ESCAPES, mode=77)])),
    "EPS": ("a.png", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(sprung) (w) file closefile\n"),
    "SVG": ("a.png", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
    "TIFF": ("a.png", lambda: saved(Image.fromarray(draw_sprite(1)), "TIFF")),
    "ICO": ("a.png", lambda: saved(Image.fromarray(draw_sprite(1)), "ICO")),
    "PSD": ("a.png", lambda: b"8BPS\0\1" + bytes(60)),
    "zip": ("a.png", lambda: b"PK\3\4" + bytes(60)),
    "script": ("a.png", lambda: b"#!/bin/sh\ntouch sprung\n"),
    "pickle": ("a.png", lambda: b"cos\nsystem\n(S'touch sprung'\ntR."),
    "float TIFF as JPEG": ("a.jpg", lambda: saved(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF")),
    "fully transparent": ("a.png", lambda: png(16, 16)),
}  # fmt: skip
"""Images that cannot be used, by name and content."""

FINE: dict[str, tuple[str, Content]] = {
    "escapes in its text": ("a.png", lambda: text_with(ESCAPES)),
    "EXIF that is none": ("a.png", lambda: exif(b"\xff" * 300)),
    "EXIF that points at itself": ("a.png", lambda: exif(b"II*\0\x08\0\0\0" + b"\x01\0\x69\x87\x04\0\1\0\0\0\x08\0\0\0" * 4)),
    "JPEG named PNG": ("a.png", lambda: JPEG),
    "GIF named PNG": ("a.png", lambda: GIF),
    "Aseprite named PNG": ("a.png", lambda: ase([made.layer(), made.cel(0, draw_sprite(1))])),
    "Aseprite: names with escapes": ("a.aseprite", lambda: ase([made.layer(ESCAPES), made.tags((f"{ESCAPES}\nFORGED", 0, 0)), made.cel(0, draw_sprite(1))])),
    "Aseprite: half-transparent, at the limit": ("a.aseprite", lambda: ase_layers(60, 1000, 0, 100)),
    "Aseprite: hue, at the limit": ("a.aseprite", lambda: ase_layers(8, 1000, 12, 255)),
    "one pixel": ("a.png", lambda: saved(Image.new("RGB", (1, 1), (200, 10, 10)), "PNG")),
    "a row of 512": ("a.png", lambda: saved(Image.new("RGB", (512, 1), (200, 10, 10)), "PNG")),
    "noise of 512": ("a.png", lambda: noise(512)),
    "16 bits": ("a.png", lambda: saved(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257), "PNG")),
    "CMYK JPEG": ("a.jpg", lambda: saved(Image.new("CMYK", (16, 16), (10, 200, 3, 0)), "JPEG")),
    "trailing code": ("a.png", lambda: sprite_png() + b"<?php system('touch sprung'); ?>"),
    "zip after it": ("a.png", lambda: sprite_png() + b"PK\3\4" + bytes(99)),
    "claims 2^31 frames": ("a.png", lambda: apng_claims(2**31 - 1)),
    "claims 0 frames": ("a.png", lambda: apng_claims(0)),
}  # fmt: skip
"""Images that are odd; either end is right for them, but for harm."""

ANIMATED: dict[str, tuple[str, Content]] = {
    "GIF of 5,000 frames": ("a.gif", lambda: frames(5000, 16, "GIF")),
    "GIF of 200 frames of 1024": ("a.gif", lambda: frames(200, 1024, "GIF")),
    "claims 2^31 frames, all wanted": ("a.png", lambda: apng_claims(2**31 - 1)),
    "APNG cut in its frames": ("a.png", lambda: frames(8, 32, "PNG")[:-90]),
    "WebP cut in its frames": ("a.webp", lambda: frames(8, 32, "WEBP")[:-90]),
    "GIF cut in its frames": ("a.gif", lambda: frames(8, 32, "GIF")[:-90]),
}

MAY_TRAIN = ("fully transparent", "PNG of 4000 x 4000", "PNG of 4000 x 4000 checkers", "noise of 1500")
"""Images that prepare refuses for a data set, or asks about, and that are no harm where they are read as they are."""

NAMES = {
    "escapes": f"{ESCAPES}.png",
    "a line break and a forged line": "a\nFORGED error: all your sprites are gone.png",
    "U+2028": "a\u2028FORGED b.png",
    "NEL": "a\x85FORGED b.png",
    "right to left": "a\u202egnp.png",
    "option": "--help.png",
    "an override": "hydra.run.dir=x.png",
    "quotes": "'\"`$(touch sprung)`.png",
    "a percent sign": "%s%d%n{0}.png",
    "markup": "<script>alert(1)</script>.png".replace("/", "_"),
    "device": "aux.png",
    "blank": " .png",
    "many points": "a..png..png",
    "250 letters": "x" * 240 + ".png",
    "not UTF-8": "\udcff\udcfe.png",
    "decomposed": "e\u0301.png",
    "no-break spaces": "\u00a0\u2003a.png",
}


def _put(name: str, content: Content) -> Callable[[Path], object]:
    def plant(given: Path) -> None:
        (given / name).write_bytes(content())
        (given / Path(name).with_suffix(".txt")).write_text("pixel art, gem\n")

    return plant


def _link(target: str) -> Callable[[Path], object]:
    return lambda given: (given / "a.png").symlink_to(target.format(folder=given.parent))


def _pipe(given: Path) -> None:
    os.mkfifo(given / "a.png")


def _loop(given: Path) -> None:
    (given / "a.png").symlink_to("b.png")
    (given / "b.png").symlink_to("a.png")


def _deep(given: Path) -> None:
    here = given
    for _ in range(60):
        here /= "d" * 40
        here.mkdir()
    (here / "a.png").write_bytes(sprite_png())


def _many(given: Path) -> None:
    for number in range(3000):
        (given / f"{number}.png").write_bytes(sprite_png() if number == 0 else b"x")


def kinds() -> Iterator[Kind]:
    """All kinds about images."""
    for name, (file, content) in BAD.items():
        yield Kind("image (prepare)", name, _put(file, content), CHECK, may="either" if "noise" in name else "refused")
        yield Kind("image (train)", name, _put(file, content), READ, may="either" if name in MAY_TRAIN else "refused")
    for name, (file, content) in FINE.items():
        yield Kind("image (prepare)", name, _put(file, content), PREPARE, may="either")
        yield Kind("image (train)", name, _put(file, content), READ, may="either")
    for name, (file, content) in ANIMATED.items():
        words = (*CHECK, "all_frames=true")
        yield Kind("animation", name, _put(file, content), words, may="either")
    for name, file in NAMES.items():
        if file.startswith("<"):
            file = file.replace("</", "<_")
        yield Kind("image name (prepare)", name, _put(file, sprite_png), PREPARE, may="either")
        yield Kind("image name (train)", name, _put(file, sprite_png), READ, may="either")
        yield Kind("bad image's name", name, _put(file, lambda: b"x"), CHECK)
    for name, plant in {
        "link to /etc/passwd": _link("/etc/passwd"),
        "link out": _link("{folder}/victim/treasure.txt"),
        "link to nothing": _link("gone.png"),
        "link to /dev/zero": _link("/dev/zero"),
        "links in a circle": _loop,
        "pipe": _pipe,
    }.items():
        yield Kind("folder entry", name, plant, CHECK)
    yield Kind("folder entry", "60 folders deep", _deep, CHECK, may="either")
    yield Kind("folder entry", "3,000 bad images", _many, CHECK)
