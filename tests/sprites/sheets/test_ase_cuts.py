"""Sprites of Aseprite files: frames named by their tags, slices cut out, words of tags and layers."""

from pathlib import Path

import numpy as np
import pytest

from spritelora.errors import DatasetError
from spritelora.sprites.pixels.image import without_hidden_colour
from spritelora.sprites.sheets.ase_cuts import document_notes
from spritelora.sprites.sheets.sheet import Cut, SheetLayout, cut_image
from tests.conftest import draw_sprite
from tests.sprites.ase import made_files as made
from tests.sprites.ase.made_files import File

SPRITES = [draw_sprite(i) for i in range(4)]


def cuts_of(file: File, folder: Path, all_frames: bool = True, layout: SheetLayout | None = None) -> list[Cut]:
    path = folder / "hero.aseprite"
    path.write_bytes(file.encode())
    return cut_image(path, layout, all_frames)


def animation(*chunks: bytes, layer: str = "Layer 1") -> File:
    """Four frames of one layer."""
    first, *others = ([made.cel(0, sprite)] for sprite in SPRITES)
    return File((16, 16), [[made.layer(layer), *chunks, *first], *others])


def test_frames_are_named_by_their_tags_and_tags_are_words(tmp_path: Path) -> None:
    cuts = cuts_of(animation(made.tags(("Walk Left", 0, 1), ("all", 0, 2))), tmp_path)
    assert [(c.tag, c.words) for c in cuts] == [
        ("walk-left_0", ("Walk Left", "all")), ("walk-left_1", ("Walk Left", "all")), ("all_2", ("all",)), ("3", ()),
    ]  # fmt: skip
    for cut, sprite in zip(cuts, SPRITES, strict=True):
        assert np.array_equal(without_hidden_colour(cut.pixels), without_hidden_colour(sprite))


def test_without_all_frames_the_first_is_taken_whole(tmp_path: Path) -> None:
    (cut,) = cuts_of(animation(made.tags(("idle", 0, 3))), tmp_path, all_frames=False)
    assert (cut.tag, cut.words) == ("", ("idle",))
    assert np.array_equal(without_hidden_colour(cut.pixels), without_hidden_colour(SPRITES[0]))


def test_slices_are_cut_out_where_they_lie_in_each_frame(tmp_path: Path) -> None:
    slices = [
        made.slice_("Red Potion", (0, 2, 2, 8, 6), (2, 4, 4, 8, 6), flags=1),
        made.slice_("late", (0, 0, 0, 0, 0), (3, 12, 12, 9, 9), flags=2),
        made.slice_("beyond", (0, 30, 0, 4, 4)),
        made.slice_("before", (0, -4, -4, 8, 9)),
    ]
    solid = [np.dstack([s[..., :3], np.full((16, 16), 255, dtype=np.uint8)]) for s in SPRITES]
    first, *others = ([made.cel(0, sprite)] for sprite in solid)
    cuts = cuts_of(File((16, 16), [[made.layer(), *slices, *first], *others]), tmp_path)
    found = {cut.tag: cut.pixels for cut in cuts}
    assert [*found] == [
        f"{name}_{i}" for i in range(4) for name in ("red-potion", "late", "before") if name != "late" or i == 3
    ]
    assert np.array_equal(found["red-potion_1"], solid[1][2:8, 2:10])
    assert np.array_equal(found["red-potion_3"], solid[3][4:10, 4:12])
    assert np.array_equal(found["before_0"], solid[0][:5, :4])
    assert cuts[0].words == ("Red Potion",)
    first_only = cuts_of(File((16, 16), [[made.layer(), *slices, *first], *others]), tmp_path, all_frames=False)
    assert [cut.tag for cut in first_only] == ["red-potion", "before"]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([made.layer("Layer 1"), made.layer("outline"), made.layer("Background copy")], ()),
        ([made.layer("sword"), made.layer("Blue_Cape 2"), made.layer("hidden", flags=0)], ("sword", "Blue Cape 2")),
        ([made.group("Knight"), made.layer("Layer 2", level=1), made.layer("shield", level=1)], ("Knight", "shield")),
        ([made.layer(f"part {letter}") for letter in "abcdefg"], ()),
    ],
)
def test_names_of_layers_are_words_unless_they_tell_of_drawing_alone(
    layers: list[bytes], words: tuple[str, ...], tmp_path: Path
) -> None:
    indexes = [i for i, layer in enumerate(layers) if layer[8] != 1]
    chunks = [*layers, *(made.cel(i, SPRITES[0]) for i in indexes)]
    assert cuts_of(File((16, 16), [chunks]), tmp_path)[0].words == words


def test_layers_without_a_picture_in_the_frame_are_no_words(tmp_path: Path) -> None:
    file = File(
        (16, 16), [[made.layer("sword"), made.layer("bow"), made.cel(1, SPRITES[0])], [made.cel(0, SPRITES[1])]]
    )
    assert [cut.words for cut in cuts_of(file, tmp_path)] == [("bow",), ("sword",)]


def test_a_sheet_in_a_file_of_layers_is_cut_by_its_cells(tmp_path: Path) -> None:
    sheet = np.concatenate(SPRITES[:2], axis=1)
    file = File((32, 16), [[made.layer(), made.slice_("a", (0, 0, 0, 5, 5)), made.cel(0, sheet)]])
    cuts = cuts_of(file, tmp_path, False, SheetLayout((16, 16)))
    assert [cut.tag for cut in cuts] == ["r0c0", "r0c1"]
    assert np.array_equal(without_hidden_colour(cuts[1].pixels), without_hidden_colour(SPRITES[1]))


def test_more_frames_than_can_be_read_are_refused_where_all_are_wanted(tmp_path: Path) -> None:
    file = File((4, 4), [[made.layer(), made.cel(0, SPRITES[0][4:8, 4:8])], *[[]] * 4096])
    with pytest.raises(DatasetError, match=r"hero\.aseprite: 4,097 frames are over the limit of 4,096"):
        cuts_of(file, tmp_path)
    assert len(cuts_of(file, tmp_path, all_frames=False)) == 1


def test_what_may_look_otherwise_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "a.aseprite"
    layers = [made.layer("glow", mode=16), made.layer("old", mode=1, flags=0), made.layer("shade", mode=1)]
    file.write_bytes(File((16, 16), [[made.profile(2, content=b"x"), *layers, made.cel(0, SPRITES[0])]]).encode())
    assert [(n.kind, n.severity.value, n.file) for n in document_notes(file, "a")] == [
        ("blend_modes", "note", "a"), ("colour_profile", "note", "a"),
    ]  # fmt: skip
    modes, profile = (note.message for note in document_notes(file, "a"))
    assert "'glow' (addition), 'shade' (multiply); look at it" in modes
    assert profile.startswith("an ICC profile is passed over")
    for chunk in (made.profile(1), made.profile(0)):
        file.write_bytes(File((16, 16), [[chunk, made.layer(), made.cel(0, SPRITES[0])]]).encode())
        assert document_notes(file, "a") == []
    file.write_bytes(File((16, 16), [[made.profile(1, flags=1), made.layer()]]).encode())
    assert "a gamma of its own" in document_notes(file, "a")[0].message
