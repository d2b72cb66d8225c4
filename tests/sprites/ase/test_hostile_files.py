"""Two hundred damaged files, made by mutation: each is read or refused with one clear error, in bounded memory."""

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spritelora.errors import DatasetError
from spritelora.sprites.sheets.sheet import cut_image
from tests.conftest import draw_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File

NUM_FILES = 200
MOST_BYTES = 100 * 1024 * 1024
"""Of a file under 10 KB whose canvas is small; limits let a mutated canvas be larger, never without end."""

REMEDIES = ("export it as PNG", "cut it up", "replace or remove it", "remove it", "flatten")


def rich_file() -> bytes:
    """A file with every kind of part that is read."""
    sprite, tiles = draw_sprite(1), np.full((3, 4, 4, 4), 200, dtype=np.uint8)
    first = [
        made.profile(2, content=b"icc"), made.palette([(1, 2, 3, 255)] * 8), made.group("Body", opacity=200),
        made.layer("hat", level=1, mode=1), made.layer("map", kind=2, tileset=0), made.layer("sword", opacity=99),
        made.tileset(0, tiles), made.tags(("idle", 0, 1), ("walk", 2, 2)),
        made.slice_("left", (0, 0, 0, 8, 16), (2, 1, 1, 4, 4)), made.slice_("right", (0, 8, 0, 8, 16), flags=3),
        made.cel(1, sprite), made.tilemap(2, np.array([[1, 2 | 7 << 29]])), made.cel(3, sprite[:9], (3, -2), z_index=1),
    ]  # fmt: skip
    return File((16, 16), [first, [made.link(1, 0), made.link(3, 0)], [made.link(1, 1)]], flags=3).encode()


def indexed_file() -> bytes:
    indexes = np.random.default_rng(0).integers(0, 4, (12, 12, 1))
    colours = made.old_palette([(9, 9, 9), (200, 9, 9), (9, 200, 9), (9, 9, 200)])
    first = [colours, made.layer(flags=9), made.cel(0, indexes, is_packed=False)]
    second = [made.old_palette([(1, 0, 60), (60, 0, 0)], kind=0x11), made.link(0, 0)]
    return File((12, 12), [first, second], depth=8).encode()


Mutation = Callable[[bytearray, np.random.Generator], None]


def flip_bits(content: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(0, len(content), rng.integers(1, 20)):
        content[place] ^= 1 << int(rng.integers(8))


def set_extreme(content: bytearray, rng: np.random.Generator) -> None:
    """A number of two or four bytes becomes one at the end of its range."""
    width = int(rng.choice([1, 2, 4]))
    place = int(rng.integers(0, min(len(content), 1200) - width))
    value = int(rng.choice([0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), (1 << (8 * width - 1)) - 1]))
    content[place : place + width] = value.to_bytes(width, "little")


def cut_off(content: bytearray, rng: np.random.Generator) -> None:
    """The end is missing, and the header does not say so."""
    del content[int(rng.integers(130, len(content))) :]
    content[:4] = struct.pack("<I", len(content))


def move_bytes(content: bytearray, rng: np.random.Generator) -> None:
    start, length, to = (int(n) for n in rng.integers((128, 1, 128), (len(content) - 100, 100, len(content) - 100)))
    content[to : to + length] = content[start : start + length]


def insert_bytes(content: bytearray, rng: np.random.Generator) -> None:
    place = int(rng.integers(128, len(content)))
    content[place:place] = rng.bytes(int(rng.integers(1, 64)))


MUTATIONS: list[Mutation] = [flip_bits, set_extreme, set_extreme, cut_off, move_bytes, insert_bytes]


def mutated(number: int) -> bytes:
    rng = np.random.default_rng(number)
    content = bytearray([rich_file, indexed_file][number % 2]())
    MUTATIONS[number // 2 % len(MUTATIONS)](content, rng)
    return bytes(content)


def told_of(file: Path) -> str:
    """What is said of a file that is refused; nothing where it is read whole."""
    try:
        cuts = cut_image(file, None, all_frames=True)
    except DatasetError as error:
        return str(error)
    assert all(cut.pixels.dtype == np.uint8 and cut.pixels.shape[2] == 4 for cut in cuts)
    return ""


def test_two_hundred_mutated_files_end_well(tmp_path: Path) -> None:
    file = tmp_path / "a.aseprite"
    messages: list[str] = []
    contents = [mutated(number) for number in range(NUM_FILES)]
    tracemalloc.start()
    try:
        for number, content in enumerate(contents):
            file.write_bytes(content)
            tracemalloc.reset_peak()
            messages.append(told_of(file))
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, number
    finally:
        tracemalloc.stop()
    refused = [message for message in messages if message]
    assert [m for m in refused if not m.startswith(f"{file}: ") or not m.endswith(REMEDIES) or "\n" in m] == []
    assert 0.3 * NUM_FILES < len(refused) < NUM_FILES


def test_the_files_are_read_where_nothing_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.aseprite"
    file.write_bytes(rich_file())
    assert [cut.tag for cut in cut_image(file, None, all_frames=True)] == [
        "left_idle_0", "right_idle_0", "left_idle_1", "right_idle_1", "left_walk_0", "right_walk_0",
    ]  # fmt: skip
    file.write_bytes(indexed_file())
    assert len(cut_image(file, None, all_frames=True)) == 2


def test_a_small_file_that_unpacks_to_much_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    bomb = made.cel(0, np.zeros((2000, 2000, 4)))
    file = tmp_path / "a.aseprite"
    head = bomb[6:22] + struct.pack("<HH", 8, 8) + bomb[26:]
    file.write_bytes(File((8, 8), [[made.layer(), made.chunk(0x2005, head)]]).encode())
    tracemalloc.start()
    try:
        told = told_of(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "unpacks to more bytes, not 256" in told
    assert peak < 2 * 1024 * 1024


def test_links_in_a_long_row_take_time_linear_in_them(tmp_path: Path) -> None:
    sprite = made.cel(0, draw_sprite(1))
    links = [[made.link(0, number + 1)] for number in range(1, 5_000)]
    file = tmp_path / "a.aseprite"
    file.write_bytes(File((16, 16), [[made.layer(), made.link(0, 1)], *links, [sprite]]).encode())
    assert cut_image(file, None, all_frames=False)[0].pixels.any()
