"""Frames drawn from files that were written by the format's description: the pixels are those of the sprite."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import read_sprite, without_hidden_colour
from spritelora.sprites.sheets.frames import count_frames, read_frames
from tests.conftest import draw_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File

RED, BLUE = (200, 10, 10, 255), (10, 20, 220, 255)
COLOURS = [(0, 0, 0, 255), RED, BLUE, (9, 8, 7, 128)]


def flat(colour: tuple[int, int, int, int], side: int = 4) -> np.ndarray:
    return np.full((side, side, 4), colour, dtype=np.uint8)


def frames_of(file: File, folder: Path) -> list[np.ndarray]:
    path = folder / "a.aseprite"
    path.write_bytes(file.encode())
    return [without_hidden_colour(frame) for frame in read_frames(path)]


def pixel(file: File, folder: Path) -> tuple[int, ...]:
    """The pixel in the middle of the only frame."""
    (frame,) = frames_of(file, folder)
    return tuple(frame[len(frame) // 2, len(frame[0]) // 2].tolist())


def over(below: tuple[int, ...], above: tuple[int, ...], opacity: Fraction = Fraction(1)) -> tuple[int, ...]:
    """A pixel laid over another, in exact numbers, rounded once its alpha is known in whole levels."""
    a = Fraction(round(above[3] * opacity))
    weight, rest = a * 255, below[3] * (255 - a)
    colours = [(s * weight + b * rest) / (weight + rest) for b, s in zip(below[:3], above[:3], strict=True)]
    return (*(int(c + Fraction(1, 2)) for c in colours), int((weight + rest) / 255 + Fraction(1, 2)))


@pytest.mark.parametrize("is_packed", [True, False])
def test_pixels_of_rgba_are_the_sprites(is_packed: bool, tmp_path: Path) -> None:
    sprite = draw_sprite(3)
    file = File((16, 16), [[made.layer(), made.cel(0, sprite, is_packed=is_packed)]])
    (frame,) = frames_of(file, tmp_path)
    assert np.array_equal(frame, without_hidden_colour(sprite))


def test_grey_has_a_value_and_alpha(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(1, 256, (8, 8, 2), dtype=np.uint8)
    (frame,) = frames_of(File((8, 8), [[made.layer(), made.cel(0, grey)]], depth=16), tmp_path)
    assert np.array_equal(frame, grey[..., [0, 0, 0, 1]])


def test_an_index_is_a_colour_and_one_of_them_is_clear_but_for_a_background(tmp_path: Path) -> None:
    indexes = np.random.default_rng(0).integers(0, 4, (8, 8, 1), dtype=np.uint8)
    for flags, clear in ((made.VISIBLE, True), (made.VISIBLE | made.BACKGROUND, False)):
        chunks = [made.palette(COLOURS), made.layer(flags=flags), made.cel(0, indexes)]
        (frame,) = frames_of(File((8, 8), [chunks], depth=8, transparent=1), tmp_path)
        expected = np.array(COLOURS, dtype=np.uint8)[indexes[..., 0]]
        assert np.array_equal(frame, expected * (indexes != 1) if clear else expected)


def test_old_palettes_count_where_there_is_no_new_one(tmp_path: Path) -> None:
    indexes = np.arange(4).reshape(2, 2, 1)
    body = [made.layer(flags=9), made.cel(0, indexes)]
    old = made.old_palette([(1, 2, 3), (250, 0, 9)], skipped=2)
    frame = frames_of(File((2, 2), [[made.old_palette([(7, 7, 7)] * 2), old, *body]], depth=8), tmp_path)[0]
    assert frame.reshape(4, 4).tolist() == [[7, 7, 7, 255], [7, 7, 7, 255], [1, 2, 3, 255], [250, 0, 9, 255]]
    frame = frames_of(File((2, 2), [[old, made.palette(COLOURS), *body]], depth=8), tmp_path)[0]
    assert frame.reshape(4, 4).tolist() == [list(c) for c in COLOURS]
    frame = frames_of(File((2, 2), [[made.palette(COLOURS), old, *body]], depth=8), tmp_path)[0]
    assert frame.reshape(4, 4).tolist() == [list(c) for c in COLOURS]
    small = made.old_palette([(0, 63, 21)] * 4, kind=0x0011)
    frame = frames_of(File((2, 2), [[small, *body]], depth=8), tmp_path)[0]
    assert frame[0, 0].tolist() == [0, 255, 85, 255]


def test_a_palette_changes_from_its_frame_on(tmp_path: Path) -> None:
    indexes = np.ones((2, 2, 1))
    start = [made.palette(COLOURS), made.layer(), made.cel(0, indexes)]
    file = File((2, 2), [start, [made.palette([BLUE], first=1, size=4), made.link(0, 0)], [made.link(0, 1)]], depth=8)
    assert [tuple(frame[0, 0].tolist()) for frame in frames_of(file, tmp_path)] == [RED, BLUE, BLUE]


def test_linked_cels_show_the_picture_of_another_frame_whichever_comes_first(tmp_path: Path) -> None:
    sprite = flat(RED, 2)
    file = File((4, 4), [[made.layer(), made.link(0, 2)], [made.cel(0, sprite, (1, 1))], [made.link(0, 1, (2, 2))], []])
    first, second, third, empty = frames_of(file, tmp_path)
    assert np.array_equal(first[:2, :2], sprite)
    assert np.array_equal(second[1:3, 1:3], sprite)
    assert np.array_equal(third[2:, 2:], sprite)
    assert not empty.any()
    assert count_frames(tmp_path / "a.aseprite") == 4


def test_the_first_frame_is_read_where_one_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "a.ase"
    file.write_bytes(File((4, 4), [[made.layer(), made.cel(0, flat(RED))], [made.cel(0, flat(BLUE))]]).encode())
    assert (read_sprite(file) == RED).all()


@pytest.mark.parametrize("corner", [(-3, -2), (3, 2), (-20, 0), (0, 9), (-1, 3), (-2, -2)])
def test_what_lies_beyond_the_canvas_is_cut_off(corner: tuple[int, int], tmp_path: Path) -> None:
    sprite = draw_sprite(1, 8)
    sprite[..., 3] = 255
    (frame,) = frames_of(File((6, 5), [[made.layer(), made.cel(0, sprite, corner)]]), tmp_path)
    wide = np.zeros((60, 60, 4), dtype=np.uint8)
    wide[20 + corner[1] : 28 + corner[1], 20 + corner[0] : 28 + corner[0]] = sprite
    assert np.array_equal(frame, wide[20:25, 20:26])


def test_hidden_layers_hidden_groups_and_references_are_not_drawn(tmp_path: Path) -> None:
    layers = [
        made.layer("a"), made.layer("hidden", flags=0), made.group("hidden group", flags=0),
        made.layer("in it", level=1), made.group("shown"), made.layer("b", level=1),
        made.layer("reference", flags=made.VISIBLE | made.REFERENCE),
    ]  # fmt: skip
    corners = {0: (0, 0), 1: (1, 0), 3: (2, 0), 5: (3, 0), 6: (4, 0)}
    for flags in (1, 3):
        cels = [made.cel(i, flat(RED, 1), corner) for i, corner in corners.items()]
        (frame,) = frames_of(File((5, 1), [[*layers, *cels]], flags=flags), tmp_path)
        assert (frame[0, :, 3] > 0).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize("alpha", [1, 100, 254, 255])
@pytest.mark.parametrize(("layer", "cel"), [(255, 255), (128, 255), (77, 200), (0, 255)])
def test_opacities_of_layer_cel_and_pixel_are_multiplied(alpha: int, layer: int, cel: int, tmp_path: Path) -> None:
    above = (*RED[:3], alpha)
    chunks = [made.layer(), made.layer(opacity=layer), made.cel(0, flat(BLUE)), made.cel(1, flat(above), opacity=cel)]
    assert pixel(File((4, 4), [chunks]), tmp_path) == over(BLUE, above, Fraction(layer * cel, 255 * 255))
    assert pixel(File((4, 4), [chunks], flags=0), tmp_path) == over(BLUE, above, Fraction(cel, 255))


def test_a_group_is_drawn_by_itself_where_the_file_says_so(tmp_path: Path) -> None:
    half = (*RED[:3], 128)
    chunks = [made.layer(), made.group("g", opacity=100), made.layer(level=1), made.layer(level=1)]
    chunks += [made.cel(0, flat(BLUE)), made.cel(2, flat(half)), made.cel(3, flat((0, 90, 0, 128)))]
    within = over(half, (0, 90, 0, 128))
    assert pixel(File((4, 4), [chunks], flags=3), tmp_path) == over(BLUE, within, Fraction(100, 255))
    assert pixel(File((4, 4), [chunks], flags=1), tmp_path) == over(over(BLUE, half), (0, 90, 0, 128))


def test_a_mode_within_a_group_sees_the_group_alone(tmp_path: Path) -> None:
    chunks = [made.layer(), made.group("g"), made.layer(level=1, mode=1)]
    chunks += [made.cel(0, flat(BLUE)), made.cel(2, flat(RED))]
    assert pixel(File((4, 4), [chunks], flags=3), tmp_path) == RED
    assert pixel(File((4, 4), [chunks], flags=1), tmp_path) == (8, 1, 9, 255)


@pytest.mark.parametrize(
    ("z_indexes", "top"),
    [((0, 0, 0), 2), ((1, 0, 0), 2), ((2, 0, 0), 0), ((0, 2, 0), 1), ((0, 1, -1), 1), ((0, 0, -3), 1)],
)
def test_a_z_index_moves_a_cel_among_the_layers(z_indexes: tuple[int, ...], top: int, tmp_path: Path) -> None:
    colours = [(50 * (i + 1), 0, 0, 255) for i in range(3)]
    cels = [made.cel(i, flat(c), z_index=z) for i, (c, z) in enumerate(zip(colours, z_indexes, strict=True))]
    assert pixel(File((4, 4), [[made.layer()] * 3 + cels]), tmp_path) == colours[top]


@pytest.mark.parametrize("pixel_size", [(2, 1), (1, 2), (4, 2)])
def test_pixels_that_are_not_square_are_drawn_as_they_are_seen(pixel_size: tuple[int, int], tmp_path: Path) -> None:
    sprite = draw_sprite(1, 8)
    (frame,) = frames_of(File((8, 8), [[made.layer(), made.cel(0, sprite)]], pixel=pixel_size), tmp_path)
    across, down = pixel_size[0] // min(pixel_size), pixel_size[1] // min(pixel_size)
    assert np.array_equal(frame, without_hidden_colour(sprite).repeat(down, 0).repeat(across, 1))


def place_tile(tile: np.ndarray, value: int) -> np.ndarray:
    """A tile turned pixel by pixel: its axes are swapped, then it is mirrored."""
    size = len(tile)
    turned = np.empty_like(tile)
    for y in range(size):
        for x in range(size):
            left = size - 1 - x if value >> 31 & 1 else x
            top = size - 1 - y if value >> 30 & 1 else y
            turned[y, x] = tile[left, top] if value >> 29 & 1 else tile[top, left]
    return turned


@pytest.mark.parametrize("depth", [32, 8])
def test_tilemaps_lay_turned_tiles(depth: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tiles = rng.integers(1, 4, (5, 4, 4, 1 if depth == 8 else 4), dtype=np.uint8)
    if depth == 32:
        tiles[..., 3] = 255
    tiles[0] = 0
    values = np.array([[i | turn << 29 for turn in range(8)] for i in range(5)], dtype=np.uint32)
    chunks = [
        made.palette(COLOURS),
        made.tileset(7, tiles),
        made.layer(kind=2, tileset=7),
        made.tilemap(0, values, (4, 0)),
    ]
    (frame,) = frames_of(File((36, 20), [chunks], depth=depth), tmp_path)
    rows = [np.concatenate([place_tile(tiles[v & 0xFFFF], int(v)) for v in row], axis=1) for row in values]
    laid = np.concatenate(rows)
    expected = laid if depth == 32 else np.array(COLOURS, dtype=np.uint8)[laid[..., 0]] * (laid > 0)
    assert np.array_equal(frame[:, 4:], expected)
    assert not frame[:, :4].any()


def test_the_empty_tile_is_the_first_or_one_of_all_bits(tmp_path: Path) -> None:
    tiles = np.full((1, 4, 4, 4), RED, dtype=np.uint8)
    values = np.array([[0, 0xFFFFFFFF]], dtype=np.uint32)
    chunks = [made.tileset(0, tiles, flags=2), made.layer(kind=2), made.tilemap(0, values)]
    (frame,) = frames_of(File((8, 4), [chunks]), tmp_path)
    assert (frame[:, :4] == RED).all()
    assert not frame[:, 4:].any()
    chunks = [made.tileset(0, tiles), made.layer(kind=2), made.tilemap(0, values[:, :1])]
    assert not frames_of(File((8, 4), [chunks]), tmp_path)[0].any()


def refusal(file: File, folder: Path) -> str:
    with pytest.raises(DatasetError) as refused:
        frames_of(file, folder)
    told = str(refused.value)
    assert told.startswith(f"{folder / 'a.aseprite'}: ")
    return told


TILES = np.full((2, 4, 4, 4), 255, dtype=np.uint8)
LAYER, CEL = made.layer(), made.cel(0, flat(RED))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (File((4, 4), []), "0 frames of 4x4 px"),
        (File((0, 4), [[LAYER]]), "1 frames of 0x4 px"),
        (File((4, 4), [[LAYER]], depth=24), "24 bits a pixel"),
        (File((4, 4), [[]]), "it has no layer"),
        (File((4, 4), [[LAYER, CEL, CEL]]), "frame 0 has layer 0 twice"),
        (File((4, 4), [[LAYER, made.cel(1, flat(RED))]]), "frame 0 has a picture for layer 1, which is none"),
        (File((4, 4), [[made.group("g"), CEL]]), "frame 0 has a picture for layer 0, which is none"),
        (File((4, 4), [[LAYER, made.link(0, 0)]]), "frame 0 links layer 0 to frame 0, which has no such picture"),
        (File((4, 4), [[LAYER, made.link(0, 1)], [made.link(0, 0)]]), "links layer 0 to frame"),
        (File((4, 4), [[LAYER, made.link(0, 9)]]), "links layer 0 to frame 9"),
        (File((4, 4), [[LAYER, made.link(0, 1)], []]), "links layer 0 to frame 1"),
        (File((4, 4), [[made.layer(level=1)]]), "layer 0 lies in a group that is not there"),
        (File((4, 4), [[LAYER, made.layer(level=1)]]), "layer 1 lies in a layer that is no group"),
        (File((4, 4), [[LAYER, made.tags(("walk", 0, 1))]]), "a tag covers frames 0 to 1 of 1"),
        (File((4, 4), [[LAYER, made.cel(0, np.zeros((4, 4, 1)))]], depth=8), "colours of a palette, and it has none"),
        (
            File((4, 4), [[made.palette(COLOURS), LAYER, made.cel(0, np.full((4, 4, 1), 9))]], depth=8),
            "colour 9 of a palette of 4",
        ),
        (File((4, 4), [[made.palette(COLOURS, size=2), LAYER]]), "its palette of 2 colours has a colour 2"),
        (File((4, 4), [[made.old_palette([(1, 1, 1)] * 9, skipped=250), LAYER]]), "its palette has 259 colours"),
        (File((4, 4), [[made.old_palette([(64, 1, 1)], kind=0x11), LAYER]]), "a colour of its palette is over 63"),
        (File((4, 4), [[made.layer(kind=2), made.tilemap(0, np.ones((1, 1)))]]), "tileset 0, which is not there"),
        (
            File((4, 4), [[made.tileset(0, TILES), made.layer(kind=2), made.tilemap(0, np.full((1, 1), 2))]]),
            "has a tile 2 of 2",
        ),
        (File((4, 4), [[made.chunk(0x2004, b"\1\0"), CEL]]), "frame 0 needs 13 bytes and has 2"),
        (File((4, 4), [[LAYER, made.chunk(0x2005, CEL[6:-9])]]), "layer 'Layer 1' unpacks to"),
        (File((4, 4), [[LAYER, made.chunk(0x2005, CEL[6:26] + b"junk")]]), "layer 'Layer 1' cannot be unpacked"),
        (File((4, 4), [[LAYER, made.cel(0, flat(RED)[:, :, :3])]]), "unpacks to 48 bytes, not 64"),
        (File((4, 4), [[LAYER, made.cel(0, np.zeros((4, 4, 5)))]]), "unpacks to more bytes, not 64"),
        (File((4, 4), [[LAYER, made.cel(0, np.zeros((0, 4, 4)))]]), "a picture of 4x0"),
        (File((4, 4), [[LAYER, b"\5\0\0\0\4\x20"]]), "a part of frame 0 has 5 bytes"),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy(file: File, reason: str, tmp_path: Path) -> None:
    told = refusal(file, tmp_path)
    assert f"damaged Aseprite file ({reason}" in told or reason in told
    assert told.endswith("; save it again in Aseprite, or export it as PNG")


@pytest.mark.parametrize(
    ("chunks", "what"),
    [
        ([made.layer("glow", mode=19), CEL], "layer 'glow' with blend mode 19"),
        ([made.layer("text", kind=3), CEL], "layer 'text' of kind 3"),
        ([LAYER, made.chunk(0x2005, CEL[6:13] + b"\7" + CEL[14:])], "a picture of kind 7"),
        (
            [made.tileset(0, TILES, flags=1), made.layer("map", kind=2), made.tilemap(0, np.ones((1, 1)))],
            "layer 'map', whose",
        ),
        (
            [made.tileset(0, TILES[:, :2]), made.layer("map", kind=2), made.tilemap(0, np.full((1, 1), 1 | 1 << 29))],
            "layer 'map', with tiles that are turned and not square,",
        ),
    ],
)
def test_what_the_format_does_not_define_is_refused_by_name(chunks: list[bytes], what: str, tmp_path: Path) -> None:
    told = refusal(File((4, 4), [chunks]), tmp_path)
    assert what in told
    assert told.endswith("cannot be drawn as Aseprite draws it; flatten it there, or export it as PNG")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:-1], r"it has \d+ of the \d+ bytes that it names"),
        (lambda content: content[:100], "the file needs 128 bytes and has 100"),
        (lambda content: content[:128] + b"\0" * 4 + content[132:], r"frame 0 has the mark 0xf1fa and 0 bytes"),
        (lambda content: content[:132] + b"\0\0" + content[134:], "frame 0 has the mark 0x0000"),
        (lambda content: content[:140] + b"\xff\0\0\0" + content[144:], "frame 0 needs 6 bytes and has 0"),
    ],
)
def test_wrong_lengths_and_marks_are_named(change, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.aseprite"
    file.write_bytes(change(File((4, 4), [[LAYER, CEL]]).encode()))
    with pytest.raises(
        DatasetError, match=rf"a\.aseprite: damaged Aseprite file \({reason}.*; save it again in Aseprite"
    ):
        read_sprite(file)


@pytest.mark.parametrize(
    ("file", "limit"),
    [
        (File((20_000, 4), [[LAYER]]), "20000x4 px has a side over the limit of 16,384"),
        (File((16_384, 8_192), [[LAYER]]), "16384x8192 px is over the limit of 67,108,864"),
        (File((9_000, 4), [[LAYER]], pixel=(2, 1)), "9000x4 px has a side over the limit of 16,384"),
        (File((4, 4), [[LAYER] * 4097]), "4,097 layers are over the limit of 4,096"),
        (File((4, 4), [[made.group("g", level=i) for i in range(66)]]), "groups of 65 levels are over the limit of 64"),
        (
            File((4, 4), [[LAYER, made.chunk(0x2005, CEL[6:22] + b"\xff" * 4 + CEL[26:])]]),
            "65535x65535 px is over the limit",
        ),
        (
            File((4, 4), [[LAYER, made.tileset(0, TILES)[:14] + b"\xff\xff\xff\0" + made.tileset(0, TILES)[18:]]]),
            "16,777,215 tiles of 4x4 px is over the limit",
        ),
        (File((4, 4), [[LAYER, *[made.tags(("a", 0, 0))] * 1025]]), "1,025 tags are over the limit of 1,024; remove"),
        (
            File((4, 4), [[LAYER, made.chunk(0x2022, b"\xff" * 12 + made.text("a"))]]),
            "rectangles, over the limit of 65,536; export it",
        ),
        (File((3000, 3000), [[*[made.group("g")] * 9, LAYER]], flags=3), "81,000,000 pixels in all, over the limit"),
        (File((3000, 3000), [[made.group("g", mode=1), LAYER]], flags=3), "blend modes have 9,000,000 pixels in all"),
    ],
)
def test_what_is_over_a_limit_is_refused_before_it_is_drawn(file: File, limit: str, tmp_path: Path) -> None:
    assert limit in refusal(file, tmp_path)
