"""Whatever the file format, the same sprite reaches training; what cannot be read is named."""

import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import (
    apply_matte,
    disguise_of,
    exact_scale,
    parse_colour,
    read_sprite,
    shrink_to_fit,
    visible_colours,
)
from tests.conftest import draw_sprite


def colours_with_transparency() -> np.ndarray:
    sprite = np.zeros((8, 8, 4), dtype=np.uint8)
    sprite[2:6, 2:6] = (200, 40, 40, 255)
    sprite[3, 3] = (40, 40, 200, 255)
    return sprite


def greys_with_transparency() -> np.ndarray:
    sprite = np.zeros((8, 8, 4), dtype=np.uint8)
    sprite[2:6, 2:6] = (90, 90, 90, 255)
    sprite[3, 3] = (180, 180, 180, 255)
    return sprite


def save_palette(sprite: np.ndarray, file: Path) -> None:
    indices = np.zeros(sprite.shape[:2], dtype=np.uint8)
    indices[sprite[..., 3] > 0] = 1
    indices[3, 3] = 2
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 0, 255, *sprite[2, 2, :3].tolist(), *sprite[3, 3, :3].tolist()])
    image.save(file, transparency=0)


def save_grey_16_bit(sprite: np.ndarray, file: Path) -> None:
    """A 16-bit grey PNG whose colour 0 is declared transparent, written by hand, for Pillow writes none."""
    grey = sprite[..., 0].astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", struct.pack(">H", 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


FORMATS: list[tuple[str, Callable[[], np.ndarray], Callable[[np.ndarray, Path], None]]] = [
    ("rgba.png", colours_with_transparency, lambda s, f: Image.fromarray(s).save(f)),
    ("palette.png", colours_with_transparency, save_palette),
    ("lossless.webp", colours_with_transparency, lambda s, f: Image.fromarray(s).save(f, lossless=True)),
    ("grey_alpha.png", greys_with_transparency, lambda s, f: Image.fromarray(s).convert("LA").save(f)),
    ("grey16.png", greys_with_transparency, save_grey_16_bit),
]


@pytest.mark.parametrize(("name", "draw", "save"), FORMATS, ids=[f[0] for f in FORMATS])
def test_every_mode_gives_the_same_sprite_over_a_matte(
    name: str, draw: Callable[[], np.ndarray], save: Callable[[np.ndarray, Path], None], tmp_path: Path
) -> None:
    sprite = draw()
    save(sprite, tmp_path / name)
    read = read_sprite(tmp_path / name)
    assert np.array_equal(read[..., 3], sprite[..., 3])
    matte = (10, 20, 30)
    assert np.array_equal(apply_matte(read, matte), apply_matte(sprite, matte))


@pytest.mark.parametrize("name", ["opaque.png", "opaque.bmp", "opaque.gif", "opaque.webp"])
def test_opaque_formats_without_loss_keep_every_pixel(name: str, tmp_path: Path) -> None:
    pixels = draw_sprite(1)[..., :3]
    Image.fromarray(pixels).save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    assert np.array_equal(read_sprite(tmp_path / name)[..., :3], pixels)


def test_bilevel_and_grey_and_jpeg(tmp_path: Path) -> None:
    grey = draw_sprite(2)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_sprite(tmp_path / "grey.png")[..., 1], grey)
    Image.fromarray(grey > 100).save(tmp_path / "bits.png")
    assert np.array_equal(read_sprite(tmp_path / "bits.png")[..., 2], np.where(grey > 100, 255, 0))
    flat = np.full((16, 16, 3), (200, 40, 40), dtype=np.uint8)
    Image.fromarray(flat).save(tmp_path / "flat.jpg", quality=95)
    assert np.abs(read_sprite(tmp_path / "flat.jpg")[..., :3].astype(int) - flat).max() <= 4


def test_colour_hidden_under_alpha_0_never_shows() -> None:
    sprite = draw_sprite(3)
    loud = sprite.copy()
    loud[loud[..., 3] == 0] = (0, 255, 0, 0)
    assert np.array_equal(apply_matte(sprite, (9, 9, 9)), apply_matte(loud, (9, 9, 9)))
    assert np.array_equal(visible_colours(sprite), visible_colours(loud))


@pytest.mark.parametrize("scale", [2, 3, 8, 32])
def test_an_enlarged_sprite_is_brought_back_to_its_pixels(scale: int) -> None:
    sprite = draw_sprite(4)[..., :3]
    sprite[5, 5], sprite[5, 6] = (1, 2, 3), (4, 5, 6)
    enlarged = sprite.repeat(scale, 0).repeat(scale, 1)
    assert exact_scale(enlarged) == scale
    assert np.array_equal(shrink_to_fit(enlarged, [(16, 16)]), sprite)


def test_a_sprite_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="200x100 native pixels do not fit 128x128"):
        shrink_to_fit(np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8), [(128, 128)])


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * min(height, 4)))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(n, d) for n, d in chunks)


def png_with(*chunks: tuple[bytes, bytes], size: int = 8, rows: bytes = b"\0\xff" * 8) -> bytes:
    """A bilevel PNG with chunks of its own before the pixels."""
    head = [(b"IHDR", struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)), *chunks]
    body = [*head, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(n, d) for n, d in body)


def packed(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def damaged_png(tmp_path: Path) -> bytes:
    """One bit of the pixels flipped; their checksum tells."""
    Image.fromarray(draw_sprite(0)).save(tmp_path / "whole.png")
    content = bytearray((tmp_path / "whole.png").read_bytes())
    content[content.index(b"IDAT") + 20] ^= 1
    return bytes(content)


def truncated_png(tmp_path: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    return (tmp_path / "whole.png").read_bytes()[:2000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _: b"", r"empty file \(0 bytes\)"),
        (lambda _: b"this is text\n", "corrupt or not an image"),
        (truncated_png, "corrupt or not an image"),
        (lambda _: png_of_size(100_000, 100_000), "image bomb|over the limit"),
        (lambda _: png_of_size(100_000, 1_000), "over the limit of 16,777,216 pixels for one sprite"),
        (lambda _: png_of_size(64, 64)[:40], "corrupt or not an image"),
        (lambda _: png_of_size(100_000, 1), "100000x1 px has a side over the limit of 16,384 px"),
        (lambda _: png_with((b"zTXt", b"Comment\0\0" + packed(20_000_000))), "unpacks to over 1 MB; remove it"),
        (lambda _: png_with((b"iTXt", b"Comment\0\1\0\0\0" + packed(20_000_000))), "unpacks to over 1 MB; remove it"),
        (lambda _: png_with((b"iCCP", b"icc\0\0" + packed(20_000_000))), "unpacks to over 1 MB; remove it"),
        (lambda _: png_with(*[(b"zTXt", b"c\0\0" + packed(900_000))] * 80), "unpacks to over 1 MB; remove it"),
        (damaged_png, "corrupt or not an image"),
        (lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "corrupt or not an image"),
    ],
    ids=[
        "zero bytes",
        "text",
        "truncated",
        "bomb",
        "large",
        "headless",
        "long",
        "text bomb",
        "utf-8 text bomb",
        "profile bomb",
        "many texts",
        "damaged",
        "postscript",
    ],
)
def test_a_bad_file_is_named(content: Callable[[Path], bytes], message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.png"
    file.write_bytes(content(tmp_path))
    with pytest.raises(DatasetError, match=message) as error:
        read_sprite(file)
    assert str(file) in str(error.value)


def test_pixels_beyond_the_last_row_are_not_unpacked(tmp_path: Path) -> None:
    """50 MB of rows in a PNG of 8 x 8."""
    (tmp_path / "a.png").write_bytes(png_with(rows=b"\0\xff" * 25_000_000))
    tracemalloc.start()
    try:
        assert read_sprite(tmp_path / "a.png").shape == (8, 8, 4)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_small_text_in_a_png_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with((b"zTXt", b"prompt\0\0" + packed(500_000))))
    assert read_sprite(tmp_path / "a.png").shape == (8, 8, 4)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.webp", "a.jpg"])
def test_a_truncated_file_is_never_read_as_another_picture(name: str, tmp_path: Path) -> None:
    Image.fromarray(draw_sprite(0)[..., :3]).save(tmp_path / name)
    whole, content = read_sprite(tmp_path / name), (tmp_path / name).read_bytes()
    refused = 0
    for length in range(0, len(content), 7):
        (tmp_path / name).write_bytes(content[:length])
        try:
            assert np.array_equal(read_sprite(tmp_path / name), whole)
        except DatasetError:
            refused += 1
    assert refused > 0.9 * len(content) / 7


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.bmp", "a.webp", "a.jpg"])
def test_damage_of_any_kind_ends_in_pixels_or_one_clear_error(name: str, tmp_path: Path) -> None:
    """A thousand damaged files: only a DatasetError may come out, and a PNG never shows another picture."""
    Image.fromarray(draw_sprite(0)[..., :3]).save(tmp_path / name)
    whole, content = read_sprite(tmp_path / name), (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged)
        with suppress(DatasetError):
            read = read_sprite(tmp_path / name)
            assert name != "a.png" or np.array_equal(read, whole)


def test_a_pipe_named_as_an_image_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: corrupt or not an image \(no regular file\)"):
        read_sprite(tmp_path / "a.png")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    Image.fromarray(draw_sprite(0)).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 300 * 1024 * 1024)
    with pytest.raises(DatasetError, match="314,572,800 bytes is over the limit of 268,435,456"):
        read_sprite(tmp_path / "a.png")


def test_the_content_decides_how_a_file_is_read(tmp_path: Path) -> None:
    sprite = draw_sprite(1)
    Image.fromarray(sprite).save(tmp_path / "a.jpg", format="PNG")
    assert np.array_equal(read_sprite(tmp_path / "a.jpg"), sprite)
    assert disguise_of(tmp_path / "a.jpg") == "PNG"
    Image.fromarray(sprite).save(tmp_path / "b.png")
    assert disguise_of(tmp_path / "b.png") is None
    (tmp_path / "c.png").write_text("text")
    assert disguise_of(tmp_path / "c.png") is None


def test_colours_are_written_rrggbb() -> None:
    assert parse_colour("#0a14FF") == (10, 20, 255)
    with pytest.raises(ValueError, match="written #rrggbb, got 'red'"):
        parse_colour("red")
