"""A prepared set is what its manifest says: to the pixel, at its own size and at any other, and against strangers."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import DatasetError
from spritelora.sprites.folder.manifest import FIELDS, MAY_BE_MISSING, read_manifest
from spritelora.sprites.folder.mask import sprite_alpha
from spritelora.sprites.folder.prepared import NativeSprite
from spritelora.sprites.folder.sprite_folder import (
    CaptionedSprite,
    native_sprite,
    read_folder,
    set_matte,
    training_image,
)
from spritelora.sprites.pixels.image import apply_matte, read_sprite
from spritelora.sprites.pixels.placement import Canvases, canvas_shapes
from tests.conftest import draw_sprite

SIDE = 128


def prepare_at(source: Path, output: Path, resolution: int = SIDE, **settings: Any) -> Path:
    prepare(PrepareConfig(input=str(source), output=str(output), resolution=resolution, workers=1, **settings))
    return output


def add(folder: Path, name: str, pixels: np.ndarray) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    (folder / name).with_suffix(".txt").write_text(f"pixel art, {Path(name).stem} of its own\n")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sprites of several sizes and shapes; one half-transparent, one opaque."""
    folder = tmp_path_factory.mktemp("set") / "originals"
    for number, size in enumerate((16, 16, 15, 12, 9, 13, 16, 11, 10, 14, 16, 8)):
        add(folder, f"sprite_{number:02d}.png", draw_sprite(number, size)[: size - number % 3])
    ghost = draw_sprite(50)
    ghost[5:8, 5:9, 3] = 100
    add(folder, "ghost.png", ghost)
    add(folder, "stone.png", draw_sprite(51)[2:-2, 2:-2, :3])
    return folder


@pytest.fixture(scope="module")
def made(originals: Path) -> Path:
    return prepare_at(originals, originals.parent / "prepared")


@pytest.fixture
def prepared(made: Path, tmp_path: Path) -> Path:
    """A copy of the prepared set, to spoil."""
    return Path(shutil.copytree(made, tmp_path / "prepared"))


def by_source(sprites: list[CaptionedSprite]) -> dict[str, CaptionedSprite]:
    return {sprite.prepared.record.source if sprite.prepared else sprite.name: sprite for sprite in sprites}


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_each_record_is_one_line_for_every_reader(end: str, tmp_path: Path) -> None:
    add(tmp_path / "art", f"a{end}b.png", draw_sprite(1))
    made = prepare_at(tmp_path / "art", tmp_path / "set")
    for name in ("manifest.jsonl", "metadata.jsonl"):
        (line,) = (made / name).read_text(encoding="utf-8").splitlines()
        assert json.loads(line).get("file", json.loads(line).get("file_name")) == f"a{end}b.png"
    (sprite,) = read_folder(made, SIDE)
    assert sprite.prepared is not None


@pytest.mark.parametrize("side_px", [SIDE, 64, 256, 200])
def test_a_prepared_set_is_trained_as_its_originals_are(originals: Path, made: Path, side_px: int) -> None:
    raw, ours = read_folder(originals, side_px), read_folder(made, side_px)
    matte = set_matte(raw)
    assert set_matte(ours) == matte
    assert len({s.factor for s in ours}) == 1
    theirs = by_source(raw)
    assert len(ours) == len(theirs) == 14
    for name, sprite in by_source(ours).items():
        other = theirs[name]
        assert (sprite.native_size, sprite.fit) == (other.native_size, other.fit), name
        assert (sprite.caption, sprite.group, sprite.repeats) == (other.caption, other.group, other.repeats)
        assert np.array_equal(training_image(sprite, matte), training_image(other, matte)), name
        assert np.array_equal(sprite_alpha(sprite), sprite_alpha(other)), name


def test_at_its_own_size_it_is_shown_as_it_lies_there(made: Path) -> None:
    sprites = read_folder(made, SIDE)
    matte = set_matte(sprites)
    assert all(sprite.is_stored_on(matte) for sprite in sprites)
    for sprite in sprites:
        assert np.array_equal(training_image(sprite, matte), np.asarray(Image.open(sprite.file).convert("RGB")))


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"factor": "4"}, {4}),
        ({"factor": "each"}, {8, 16}),
        ({"pad": False}, None),
    ],
    ids=str,
)
def test_factors_that_were_asked_for_are_kept(
    originals: Path, tmp_path: Path, settings: dict[str, Any], factors: set[int] | None
) -> None:
    folder = prepare_at(originals, tmp_path / "out", **settings)
    sprites = read_folder(folder, SIDE)
    if factors:
        assert {s.factor for s in sprites} == factors
    else:
        assert any(s.stretched for s in sprites)
    matte = set_matte(sprites)
    for sprite in sprites:
        assert np.array_equal(training_image(sprite, matte), np.asarray(Image.open(sprite.file).convert("RGB")))
    again = {s.name: s for s in read_folder(folder, 2 * SIDE)}
    wider = prepare_at(
        originals, tmp_path / "wider", 2 * SIDE, **{**settings, "factor": settings.get("factor", "auto")}
    )
    if settings != {"factor": "4"}:
        for sprite in read_folder(wider, 2 * SIDE):
            assert again[sprite.name].fit == sprite.fit, sprite.name


def test_half_transparent_pixels_move_to_another_matte_within_one_level() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    pixels[:4, :, 3] = 0
    own, other = (45, 225, 75), (200, 3, 250)
    mixed = np.dstack([apply_matte(pixels, own), np.where(pixels[..., 3] > 0, 255, 0).astype(np.uint8)])
    moved = NativeSprite(mixed * (mixed[..., 3:] > 0), pixels[..., 3], own)
    assert np.array_equal(moved.on_matte(own), apply_matte(pixels, own))
    assert np.abs(moved.on_matte(other).astype(int) - apply_matte(pixels, other)).max() <= 1
    assert (moved.on_matte(other)[:4] == other).all()


def test_original_and_prepared_images_share_a_factor_and_a_matte(prepared: Path, caplog: Any) -> None:
    alone = read_folder(prepared, SIDE)
    add(prepared, "new.png", draw_sprite(90, 32))
    sprites = {s.name: s for s in read_folder(prepared, SIDE)}
    assert "images without a line in manifest.jsonl, read as originals: new.png" in caplog.text
    assert {s.factor for s in sprites.values()} == {4}
    assert set_matte(list(sprites.values())) == set_matte(alone)
    assert sprites["new.png"].native_size == (32, 32)
    assert sprites["ghost.png"].native_size == (16, 16)


def test_a_line_without_an_image_is_named_and_the_rest_is_read(prepared: Path, caplog: Any) -> None:
    (prepared / "ghost.png").unlink()
    (prepared / "ghost.txt").unlink()
    assert len(read_folder(prepared, SIDE)) == 13
    assert "lines of manifest.jsonl whose image is gone: ghost.png" in caplog.text


def test_a_caption_edited_afterwards_is_the_users_and_no_contradiction(prepared: Path, caplog: Any) -> None:
    (prepared / "ghost.txt").write_text("pixel art, a pale ghost\n")
    sprites = {s.name: s.caption for s in read_folder(prepared, SIDE)}
    assert sprites["ghost.png"] == "pixel art, a pale ghost"
    assert "says otherwise" not in caplog.text
    (prepared / "metadata.jsonl").write_text('{"file_name": "ghost.png", "text": "pixel art, a third thing"}\n')
    read_folder(prepared, SIDE)
    assert "ghost.txt is taken, and metadata.jsonl says otherwise" in caplog.text


def test_changed_images_are_all_named(prepared: Path) -> None:
    for name in ("ghost.png", "stone.png"):
        image = Image.open(prepared / name).convert("RGB")
        image.putpixel((64, 64), (1, 2, 3))
        image.save(prepared / name)
    with pytest.raises(DatasetError, match="2 problems found") as error:
        read_folder(prepared, SIDE)
    for name in ("ghost.png", "stone.png"):
        assert f"{name}: changed since prepare wrote it" in str(error.value)
    assert "prepare the set again, or remove its manifest.jsonl" in str(error.value)
    with pytest.raises(DatasetError, match="changed since prepare wrote it"):
        prepare_at(prepared, prepared.parent / "again")
    (prepared / "manifest.jsonl").unlink()
    assert {s.prepared for s in read_folder(prepared, SIDE)} == {None}


def rewrite(folder: Path, **fields: Any) -> None:
    """Change fields of ghost.png's line; None takes one out."""
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        if line["file"] == "ghost.png":
            line |= fields
            for name in [n for n, value in fields.items() if value is ...]:
                del line[name]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"canvas": [256, 256]}, "it is 128x128 px, not 256x256"),
        ({"native_size": [8, 16]}, "it is no sprite of 8x16 pixels"),
        ({"factor": 4}, "it is no sprite of 16x16 pixels"),
        ({"offset": [8, 0], "native_size": [15, 12]}, "it is no sprite of 15x12 pixels"),
        ({"matte": "#010203"}, "is not what manifest.jsonl says"),
        ({"mask": ".masks/sprite_00.png"}, r"its mask \.masks/sprite_00\.png changed since"),
        ({"mask": ".masks/sprite_04.png", "mask_sha256": ...}, "it is no sprite of|is not its own"),
        ({"mask": ".masks/none.png"}, "its mask .masks/none.png is not there.*copy the folder with its hidden files"),
    ],
    ids=str,
)
def test_what_a_manifest_says_of_an_image_is_proven(prepared: Path, fields: dict[str, Any], message: str) -> None:
    rewrite(prepared, **fields)
    with pytest.raises(DatasetError, match=message):
        read_folder(prepared, SIDE)


def test_manifests_of_earlier_versions_are_read(made: Path, prepared: Path) -> None:
    lines = [json.loads(line) for line in (prepared / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        del line["mask_sha256"]
    (prepared / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    ours, theirs = read_folder(prepared, SIDE), read_folder(made, SIDE)
    assert [s.native_sha256 for s in ours] == [s.native_sha256 for s in theirs]


def test_a_mask_of_another_size_is_refused(prepared: Path) -> None:
    rewrite(prepared, mask_sha256=...)
    Image.new("L", (8, 8)).save(prepared / ".masks" / "ghost.png")
    with pytest.raises(DatasetError, match=r"ghost\.png: .*its mask is 8x8 px, not 128x128; prepare the set again"):
        read_folder(prepared, SIDE)


def test_a_copy_without_its_hidden_files_is_refused(prepared: Path) -> None:
    shutil.rmtree(prepared / ".masks")
    with pytest.raises(DatasetError, match="is not there, and without it nobody knows what is transparent"):
        read_folder(prepared, SIDE)


def test_a_mask_that_leads_out_of_the_folder_is_not_read(prepared: Path, tmp_path: Path) -> None:
    mask = prepared / ".masks" / "ghost.png"
    mask.rename(tmp_path / "elsewhere.png")
    mask.symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(DatasetError, match=r"its mask \.masks/ghost\.png is not there"):
        read_folder(prepared, SIDE)


WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in FIELDS for value in ({"a": 1}, True)),
    *((name, ...) for name in FIELDS if name not in MAY_BE_MISSING),
    ("file", "../ghost.png"), ("file", "/etc/passwd"), ("file", "a\0b.png"), ("file", ""), ("file", "x" * 2000),
    ("file", "sprite_00.png"), ("mask", "../../mask.png"), ("mask", "C:/mask.png"), ("native_size", [16]),
    ("native_size", [16, 0]), ("native_size", [16.0, 16]), ("native_size", ["16", "16"]), ("native_size", [17, 16]),
    ("factor", 0), ("factor", -8), ("factor", 10**400), ("factor", [8, 8, 8]), ("factor", 9), ("offset", [-8, 0]),
    ("offset", [8, 0]), ("canvas", [10**9, 10**9]), ("canvas", [16384, 16384]), ("matte", "red"),
    ("matte", "#12345"), ("sha256", "0" * 63), ("sha256", "G" * 64), ("repeats", 0), ("repeats", 1.5),
    ("caption", 3), ("caption", "x" * 100_000), ("findings", "jpeg"), ("findings", [1]), ("source", None),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG, ids=lambda v: str(v)[:20])
def test_a_strangers_manifest_is_refused_by_line_and_field(prepared: Path, field: str, value: Any) -> None:
    rewrite(prepared, **{field: value})
    with pytest.raises(DatasetError, match=r"not a manifest that prepare wrote; .*remove or rename it\n  line \d+: "):
        read_folder(prepared, SIDE)


@pytest.mark.parametrize("line", ["no json", "[]", "{" * 5000, '{"file": "x.png"}', "\x00", '{"name": "other"}'])
def test_a_file_of_that_name_that_is_none_of_ours_is_refused(prepared: Path, line: str) -> None:
    with (prepared / "manifest.jsonl").open("a") as stream:
        stream.write(line + "\n" + line + "\n")
    with pytest.raises(DatasetError, match=r"not a manifest that prepare wrote(.|\n)*line 15(.|\n)*line 16"):
        read_folder(prepared, SIDE)


def test_fields_of_later_versions_are_left_out(prepared: Path) -> None:
    before = read_manifest(prepared / "manifest.jsonl")
    rewrite(prepared, invented={"later": [1, 2]})
    assert read_manifest(prepared / "manifest.jsonl") == before


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The originals of a set of tall, wide and square sprites."""
    folder = tmp_path_factory.mktemp("oblong") / "originals"
    for number, (width, height) in enumerate([(16, 32), (32, 16), (16, 16), (12, 30), (30, 20), (15, 15)]):
        tile = np.tile(draw_sprite(number), (2, 2, 1))[:height, :width]
        add(folder, f"sprite_{number:02d}.png", tile)
    return folder


OPEN = Canvases(512, canvas_shapes(512, buckets=True), takes_prepared=True)
EMBEDDED = Canvases(512, [(512, 512)], takes_prepared=True)


@pytest.mark.parametrize(
    "settings", [{}, {"factor": "8"}, {"factor": "each"}, {"pad": False}, {"buckets": False}], ids=str
)
@pytest.mark.parametrize("canvases", [OPEN, EMBEDDED], ids=["sdxl", "embedded"])
def test_a_prepared_set_is_trained_exactly_as_it_was_prepared(
    oblong: Path, tmp_path: Path, settings: dict[str, Any], canvases: Canvases
) -> None:
    folder = prepare_at(oblong, tmp_path / "out", 512, **{"buckets": True, **settings})
    sprites = read_folder(folder, 512, canvases=canvases)
    assert len({s.fit.canvas for s in sprites}) > 1 or settings == {"buckets": False}
    matte = set_matte(sprites)
    for sprite in sprites:
        assert sprite.prepared is not None
        assert sprite.fit == sprite.prepared.record.fit
        assert np.array_equal(training_image(sprite, matte), np.asarray(Image.open(sprite.file).convert("RGB")))


def test_raw_sprites_are_placed_as_prepare_would(oblong: Path, tmp_path: Path) -> None:
    raw = {s.name: s.fit for s in read_folder(oblong, 512, canvases=OPEN)}
    folder = prepare_at(oblong, tmp_path / "out", 512, buckets=True)
    assert {s.name: s.fit for s in read_folder(folder, 512, canvases=OPEN)} == raw
    assert len({fit.canvas for fit in raw.values()}) > 2


def test_square_sprites_are_as_on_the_square_alone(tmp_path: Path) -> None:
    for number, size in enumerate((16, 12, 9, 16)):
        add(tmp_path, f"sprite_{number}.png", draw_sprite(number, size))
    fits = [[s.fit for s in read_folder(tmp_path, 512, canvases=c)] for c in (None, OPEN, EMBEDDED)]
    assert fits[0] == fits[1] == fits[2]


def test_canvases_that_are_not_shown_are_one_error_with_what_to_type(oblong: Path, tmp_path: Path) -> None:
    folder = prepare_at(oblong, tmp_path / "buckets", 512, buckets=True)
    for side_px, canvases, remedy in (
        (512, None, "type data.shapes=auto to train on them as they are"),
        (512, Canvases(512, [(384, 640)]), "type data.shapes=auto to train on them as they are"),
        (
            1024,
            Canvases(1024, canvas_shapes(1024, buckets=True), True),
            "type model.resolution=512 to train on them as they are",
        ),
        (256, None, "type model.resolution=512 to train on them as they are"),
    ):
        with pytest.raises(DatasetError, match="1 problem found") as error:
            read_folder(folder, side_px, canvases=canvases)
        assert re.search(r"was prepared on canvases of \d+x\d+, .* px, and training at", str(error.value))
        assert remedy in str(error.value)
    assert f"input={folder} output=NEW_FOLDER resolution=256 buckets=true" in str(error.value)
    again = prepare_at(folder, tmp_path / "again", 512)
    assert {s.fit.canvas for s in read_folder(again, 512)} == {(512, 512)}


@pytest.mark.parametrize(("size", "side_px"), [((32, 64), 256), ((44, 88), 1024)])
def test_tall_images_without_their_manifest_keep_their_canvas(
    tmp_path: Path, size: tuple[int, int], side_px: int
) -> None:
    rng = np.random.default_rng(0)
    add(tmp_path / "art", "tall.png", rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    folder = prepare_at(tmp_path / "art", tmp_path / "out", side_px, buckets=True)
    (folder / "manifest.jsonl").unlink()
    canvases = Canvases(side_px, canvas_shapes(side_px, buckets=True), takes_prepared=True)
    (sprite,) = read_folder(folder, side_px, canvases=canvases)
    image = np.asarray(Image.open(sprite.file).convert("RGB"))
    assert sprite.fit.canvas == image.shape[1::-1]
    assert np.array_equal(training_image(sprite, (255, 255, 255)), image)
    if side_px == 256:  # no clean enlargement, for padding surrounds it
        width, height = sprite.fit.canvas
        with pytest.raises(DatasetError, match=rf"to show it as it is: data\.shapes=\[256x256,{width}x{height}\]"):
            read_folder(folder, side_px)


def test_a_sprite_larger_than_the_run_is_refused_with_what_to_type(originals: Path, tmp_path: Path) -> None:
    folder = prepare_at(originals, tmp_path / "small", 64)
    with pytest.raises(
        DatasetError, match=r"16x16 sprite pixels, prepared for 64 px, do not fit 8x8.*model\.resolution=64"
    ):
        read_folder(folder, 8)


@pytest.mark.parametrize("part", [".", "3_knight", "2_orc"])
def test_kohya_folders_are_read_by_the_manifest_above_them(tmp_path: Path, part: str) -> None:
    for number in range(3):
        add(tmp_path / "art", f"3_knight/knight_{number}.png", draw_sprite(number))
        add(tmp_path / "art", f"2_orc/orc_{number}.png", draw_sprite(number + 5, 12))
    folder = prepare_at(tmp_path / "art", tmp_path / "out")
    sprites = read_folder(folder / part, SIDE)
    assert len(sprites) == (6 if part == "." else 3)
    for sprite in sprites:
        assert sprite.prepared is not None
        source = sprite.prepared.record.source
        assert sprite.repeats == (int(source[0]) if part == "." else 1)
        native, original = native_sprite(sprite), read_sprite(tmp_path / "art" / source)
        assert np.array_equal(native.alpha, original[..., 3])
        assert np.array_equal(native.on_matte((9, 9, 9)), apply_matte(original, (9, 9, 9)))


def test_prepared_sets_side_by_side_each_have_their_manifest(originals: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "both" / "one")
    other = tmp_path / "other"
    add(other, "white.png", np.full((20, 20, 3), 255, dtype=np.uint8))
    prepare_at(other, tmp_path / "both" / "two", 256)
    add(tmp_path / "both", "loose.png", draw_sprite(70))
    sprites = {s.name: s for s in read_folder(tmp_path / "both", SIDE)}
    assert {n for n, s in sprites.items() if s.prepared is None} == {"loose.png"}
    assert {s.factor for s in sprites.values()} == {6}
    assert sprites["two/white.png"].native_size == (20, 20)
    matte = set_matte(list(sprites.values()))
    assert (255 << 16) + (255 << 8) + 255 in sprites["two/white.png"].colours.edge
    assert matte != (255, 255, 255)
    originals_by_name = {s.name: s for s in read_folder(originals, SIDE)}
    for name in ("one/sprite_00.png", "one/stone.png"):
        theirs = native_sprite(originals_by_name[name.removeprefix("one/")]).on_matte(matte)
        assert np.array_equal(native_sprite(sprites[name]).on_matte(matte), theirs)


def test_preparing_a_set_twice_reads_its_manifest_too(made: Path, tmp_path: Path) -> None:
    again = prepare_at(made, tmp_path / "again")
    ours, theirs = (
        {f.relative_to(d): f.read_bytes() for f in d.rglob("*") if f.suffix in (".png", ".txt")} for d in (made, again)
    )
    assert ours == theirs
    assert read_folder(again, SIDE)[0].fit == read_folder(made, SIDE)[0].fit
