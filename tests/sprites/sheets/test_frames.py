"""Animations: each frame is what a viewer shows at that moment."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import Pixels, without_hidden_colour
from spritelora.sprites.sheets.frames import count_frames, read_frames
from spritelora.sprites.sheets.sheet import SheetLayout, cut_image

RED, BLUE, CLEAR = (200, 40, 40, 255), (40, 40, 200, 255), (0, 0, 0, 0)


def square_at(left: int, colour: tuple[int, ...] = RED) -> Pixels:
    frame = np.zeros((12, 24, 4), np.uint8)
    frame[4:8, left : left + 4] = colour
    return frame


def assert_frames(file: Path, expected: list[Pixels]) -> None:
    frames = read_frames(file)
    assert len(frames) == count_frames(file) == len(expected)
    for frame, wanted in zip(frames, expected, strict=True):
        assert np.array_equal(without_hidden_colour(frame), wanted)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.gif", {"disposal": 2}),
        ("a.png", {"disposal": 0, "blend": 0}),
        ("a.png", {"disposal": 1, "blend": 1}),
        ("a.webp", {"lossless": True}),
    ],
    ids=["gif", "apng", "apng cleared", "webp"],
)
def test_every_frame_comes_out_as_it_went_in(name: str, options: dict[str, int], tmp_path: Path) -> None:
    frames = [square_at(x) for x in (2, 8, 15)]
    first, *rest = [Image.fromarray(f) for f in frames]
    first.save(tmp_path / name, save_all=True, append_images=rest, duration=100, **options)
    assert_frames(tmp_path / name, frames)
    cuts = cut_image(tmp_path / name, None, all_frames=True)
    assert [c.tag for c in cuts] == ["0", "1", "2"]
    for layout, all_frames in ((None, False), (SheetLayout((12, 12)), False)):
        (cut,) = cut_image(tmp_path / name, layout, all_frames)
        assert cut.tag == ""
        assert np.array_equal(without_hidden_colour(cut.pixels), frames[0])
    assert len(cut_image(tmp_path / name, SheetLayout(None), all_frames=True)) == 3


def gif_frame(left: int, disposal: int, colour: int) -> bytes:
    """A graphic control extension and a 4 x 4 image of one colour of the global palette, index 0 transparent."""
    control = b"\x21\xf9\x04" + bytes([disposal << 2 | 1]) + struct.pack("<H", 10) + b"\0\0"
    place = b"\x2c" + struct.pack("<4H", left, 4, 4, 4) + b"\0"
    bits = 0
    codes = [4] + [c for _ in range(16) for c in (colour, 4)] + [5]  # a clear code keeps the code size at three bits
    for i, code in enumerate(codes):
        bits |= code << (3 * i)
    data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
    return control + place + b"\x02" + bytes([len(data)]) + data + b"\0"


def test_a_gif_keeps_clears_or_restores_what_was_before(tmp_path: Path) -> None:
    """Written by hand: kept (1), restored to what was before (3), cleared (2), and a last frame on what is left."""
    palette = bytes([0, 0, 0, *RED[:3], *BLUE[:3], 9, 9, 9])
    head = b"GIF89a" + struct.pack("<HH", 24, 12) + b"\x91\0\0" + palette
    frames = [gif_frame(2, 1, 1), gif_frame(8, 3, 2), gif_frame(15, 2, 2), gif_frame(20, 1, 1)]
    (tmp_path / "a.gif").write_bytes(head + b"".join(frames) + b"\x3b")
    kept = square_at(2)
    assert_frames(
        tmp_path / "a.gif",
        [kept, kept | square_at(8, BLUE), kept | square_at(15, BLUE), kept | square_at(20)],
    )


def test_an_apngs_still_image_is_no_frame(tmp_path: Path) -> None:
    frames = [square_at(x) for x in (2, 8)]
    still = Image.fromarray(square_at(15, BLUE))
    still.save(
        tmp_path / "a.png", save_all=True, append_images=[Image.fromarray(f) for f in frames], default_image=True
    )
    found = read_frames(tmp_path / "a.png")
    assert len(found) == 2
    assert np.array_equal(without_hidden_colour(found[1]), frames[1])


def test_too_many_frames_are_refused(tmp_path: Path) -> None:
    first, second = (Image.fromarray(square_at(x)) for x in (2, 8))
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    content = (tmp_path / "a.png").read_bytes()
    at = content.index(b"acTL")
    lying = b"acTL" + struct.pack(">II", 100_000, 0)
    (tmp_path / "a.png").write_bytes(content[:at] + lying + struct.pack(">I", zlib.crc32(lying)) + content[at + 16 :])
    with pytest.raises(DatasetError, match=r"a\.png: 100,000 frames are over the limit of 4,096; cut it up"):
        read_frames(tmp_path / "a.png")


def test_a_file_cut_off_among_its_frames_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)) for _ in range(3)]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
        with pytest.raises(DatasetError, match=rf"{name}: corrupt or not an image"):
            read_frames(tmp_path / name)
