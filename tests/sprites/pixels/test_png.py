"""Transparency by one colour and samples of every depth, held to PNGs written by hand from the specification."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import read_sprite
from spritelora.sprites.pixels.modes import to_rgba
from spritelora.sprites.sheets.frames import read_frames

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types of the PNG specification."""

NUM_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(samples: np.ndarray, depth: int) -> bytes:
    """Filter type 0 and the samples of each row, the first in the highest bits, padded to whole bytes."""
    rows = b""
    for row in samples.reshape(len(samples), -1).tolist():
        bits = "".join(format(value, f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return rows


def encode(
    samples: np.ndarray, depth: int, kind: int, key: bytes | None = None, palette: bytes = b"", frames: bytes = b""
) -> bytes:
    """A PNG of `samples` (H, W) or (H, W, n) of `depth` bits; `key`: content of its tRNS chunk."""
    height, width = samples.shape[:2]
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), frames]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(b"tRNS", key)] if key is not None else []
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*parts, chunk(b"IDAT", zlib.compress(pack_rows(samples, depth))), chunk(b"IEND", b"")]
    )


def read(content: bytes, tmp_path: Path) -> np.ndarray:
    (tmp_path / "a.png").write_bytes(content)
    return read_sprite(tmp_path / "a.png")


def to_8_bits(samples: np.ndarray, depth: int) -> np.ndarray:
    """The specification's formula: floor(sample * 255 / (2 ** depth - 1) + 0.5), in whole numbers."""
    most = 2**depth - 1
    return (2 * samples.astype(np.int64) * 255 + most) // (2 * most)


def all_samples(depth: int, num_samples: int = 1) -> np.ndarray:
    """Every sample there is, at 16 bits about each step from one value of 8 bits to the next."""
    if depth < 16:
        values = np.arange(2**depth)
    else:
        values = (np.arange(256)[:, None] * 257 + np.array([-129, -128, -1, 0, 1, 128, 129])).clip(0, 65535).ravel()
    return np.stack([np.roll(values, 3 * i) for i in range(num_samples)], axis=-1)[None]


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_one_grey_is_transparent_at_every_depth(depth: int, tmp_path: Path) -> None:
    samples = all_samples(depth)[..., 0]
    for key in {0, 1, 2**depth // 2, 2**depth - 1}:
        pixels = read(encode(samples, depth, GREY, struct.pack(">H", key)), tmp_path)
        assert np.array_equal(pixels[..., 3], np.where(samples == key, 0, 255))
        assert np.array_equal(pixels[..., :3], to_8_bits(samples, depth)[..., None].repeat(3, axis=2))


def test_only_the_low_bits_of_a_transparent_grey_count(tmp_path: Path) -> None:
    samples = all_samples(4)[..., 0]
    pixels = read(encode(samples, 4, GREY, struct.pack(">H", 0xAB05)), tmp_path)
    assert np.flatnonzero(pixels[0, :, 3] == 0).tolist() == [5]


@pytest.mark.parametrize("depth", [8, 16])
def test_one_colour_is_transparent_at_every_depth(depth: int, tmp_path: Path) -> None:
    samples = all_samples(depth, 3)
    for place in (0, 7, samples.shape[1] - 1):
        key = samples[0, place]
        pixels = read(encode(samples, depth, RGB, struct.pack(">3H", *key.tolist())), tmp_path)
        assert np.array_equal(pixels[..., 3], np.where((samples == key).all(axis=-1), 0, 255))
        assert np.array_equal(pixels[..., :3], to_8_bits(samples, depth))


def test_a_neighbour_of_the_transparent_colour_within_16_bits_is_seen(tmp_path: Path) -> None:
    samples = np.array([[[25_700, 0, 65_535], [25_701, 0, 65_535], [25_700, 0, 65_534]]])
    pixels = read(encode(samples, 16, RGB, struct.pack(">3H", 25_700, 0, 65_535)), tmp_path)
    assert pixels.tolist() == [[[100, 0, 255, 0], [100, 0, 255, 255], [100, 0, 255, 255]]]


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGBA])
@pytest.mark.parametrize("depth", [8, 16])
def test_alpha_of_every_depth_is_rounded_like_colour(kind: int, depth: int, tmp_path: Path) -> None:
    samples = all_samples(depth, NUM_SAMPLES[kind])
    scaled = to_8_bits(samples, depth)
    expected = scaled if kind == RGBA else np.dstack([scaled[..., :1].repeat(3, axis=2), scaled[..., 1:]])
    assert np.array_equal(read(encode(samples, depth, kind), tmp_path), expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alphas", [[0], [255, 0], [0, 0], [7, 255, 0, 90], [255, 255, 255, 0]])
def test_palettes_have_an_alpha_for_each_entry(depth: int, alphas: list[int], tmp_path: Path) -> None:
    number = min(2**depth, 8)
    alphas = alphas[:number]
    colours = np.random.default_rng(depth).integers(0, 256, (number, 3), dtype=np.uint8)
    samples = np.arange(number)[None]
    pixels = read(encode(samples, depth, PALETTE, bytes(alphas), colours.tobytes()), tmp_path)
    assert np.array_equal(pixels[0, :, :3], colours)
    assert pixels[0, :, 3].tolist() == alphas + [255] * (number - len(alphas))


def test_a_16_bit_image_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    samples = np.arange(12).reshape(2, 2, 3) * 257
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    content = encode(samples, 16, RGB, frames=turned)
    assert np.array_equal(read(content, tmp_path)[..., :3], np.rot90(np.arange(12).reshape(2, 2, 3), -1))


MODES = {
    "1": 1, "L": 90, "LA": (90, 128), "La": (45, 128), "P": 0, "PA": (0, 128), "RGB": (9, 80, 200),
    "RGBA": (9, 80, 200, 128), "RGBX": (9, 80, 200, 255), "I;16": 90 * 257, "I;16B": 90 * 257, "I": 90 * 257,
    "CMYK": (246, 175, 55, 0), "HSV": (0, 255, 200), "YCbCr": (90, 128, 128),
}  # fmt: skip
EXPECTED = {
    "1": [255, 255, 255, 255], "L": [90, 90, 90, 255], "LA": [90, 90, 90, 128], "La": [90, 90, 90, 128],
    "P": [0, 0, 0, 255], "PA": [0, 0, 0, 128], "RGB": [9, 80, 200, 255], "RGBA": [9, 80, 200, 128],
    "RGBX": [9, 80, 200, 255], "I;16": [90, 90, 90, 255], "I;16B": [90, 90, 90, 255], "I": [90, 90, 90, 255],
    "CMYK": [9, 80, 200, 255], "HSV": [200, 0, 0, 255], "YCbCr": [90, 90, 90, 255],
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_with_a_colour_in_rgb_is_read(mode: str) -> None:
    rounding = 1 if mode == "La" else 0  # its steps are wider than those of RGB
    assert np.abs(to_rgba(Image.new(mode, (3, 2), MODES[mode])).astype(int) - EXPECTED[mode]).max() <= rounding


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("LAB", (2, 2)), "pixels of mode LAB, which have no exact colour in RGB; export as RGBA"),
        (Image.new("F", (2, 2)), "pixels of mode F, "),
        (Image.new("I", (2, 2), 70_000), "grey from 70000 to 70000, not 0 to 65535; export as 8 or 16 bits"),
        (Image.new("I", (2, 2), -1), "grey from -1 to -1"),
    ],
)
def test_a_mode_without_one_is_refused_by_name(image: Image.Image, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_rgba(image)


@pytest.mark.parametrize(("depth", "kind"), [(4, GREY), (16, GREY), (16, RGB), (16, RGBA)])
def test_animations_that_pillow_lays_together_wrongly_are_refused(depth: int, kind: int, tmp_path: Path) -> None:
    """Two frames by the chunk that counts them; the first alone is read as any image."""
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    key = None if kind == RGBA else struct.pack(f">{NUM_SAMPLES[kind]}H", *[0] * NUM_SAMPLES[kind])
    content = encode(np.ones((2, 2, NUM_SAMPLES[kind]), np.int64), depth, kind, key, frames=control)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.png: an animated PNG .* is not read; export it as RGBA of 8 bits"):
        read_frames(tmp_path / "a.png")
    assert read_sprite(tmp_path / "a.png").shape == (2, 2, 4)


def test_a_cmyk_jpeg_shows_its_colours(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (16, 16), (246, 175, 55, 0)).save(stream, "JPEG", quality=100)
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    assert np.abs(read_sprite(tmp_path / "a.jpg").astype(int) - [9, 80, 200, 255]).max() <= 4
