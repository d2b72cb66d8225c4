"""A prepared folder holds the originals' pixels, the same ones however often and however interrupted it was made."""

import hashlib
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spritelora.commands.prepare.prepare import prepare
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.errors import ConfigError, DatasetError, SpriteLoraError
from spritelora.limits import Limit
from spritelora.sprites.folder.manifest import read_manifest
from spritelora.sprites.folder.sprite_folder import read_folder, set_matte, training_image
from spritelora.sprites.pixels.image import Pixels, apply_matte, parse_colour, read_sprite
from spritelora.sprites.prepare.output_folder import JOURNAL, State, read_ledger
from spritelora.sprites.sheets import sheet
from tests.conftest import ROOT, draw_sprite
from tests.sprites.sheets.made_grids import draw_tile
from tests.sprites.sheets.made_sheets import draw_cutouts, lay_out

DCSS = next((p for up in ROOT.parents if (p := up / "shared" / "data" / "dcss" / "monsters").is_dir()), None)


def run(source: Path, output: Path | None, **settings: Any) -> None:
    defaults: dict[str, Any] = {"resolution": 128, "workers": 1}
    prepare(PrepareConfig(input=str(source), output=str(output) if output else None, **{**defaults, **settings}))


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes."""
    return {
        f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def save(pixels: np.ndarray, file: Path, caption: str | None = "pixel art, thing") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    if caption is not None:
        file.with_suffix(".txt").write_text(caption + "\n")


def assert_native_pixels(source: Path, output: Path) -> None:
    """Shrinking each prepared image by its factor gives the original over the matte, bit for bit."""
    for record in records(output):
        image = np.asarray(Image.open(output / record["file"]).convert("RGB"))
        factor, (x, y), (w, h) = record["factor"], record["offset"], record["native_size"]
        original = apply_matte(read_sprite(source / record["source"]), parse_colour(record["matte"]))
        assert np.array_equal(image[::factor, ::factor][y // factor :, x // factor :][:h, :w], original)


def test_shrinking_by_the_factor_gives_the_original_over_the_matte(sprite_folder: Path, tmp_path: Path) -> None:
    before = contents(sprite_folder)
    run(sprite_folder, tmp_path / "out")
    assert contents(sprite_folder) == before
    assert len(records(tmp_path / "out")) == 12
    assert {r["factor"] for r in records(tmp_path / "out")} == {8}
    assert_native_pixels(sprite_folder, tmp_path / "out")


@pytest.mark.skipif(DCSS is None, reason="needs the shared Dungeon Crawl sprites")
def test_the_monsters_come_back_from_1024_px(tmp_path: Path) -> None:
    assert DCSS is not None
    run(DCSS, tmp_path / "out", resolution=1024)
    assert len(records(tmp_path / "out")) == 120
    assert {(r["factor"], *r["canvas"]) for r in records(tmp_path / "out")} == {(32, 1024, 1024)}
    assert_native_pixels(DCSS, tmp_path / "out")


def test_no_caption_is_made_over_one_that_was_not_read(
    sprite_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (0, 1):
        (sprite_folder / f"sprite_{number:02d}.png").rename(sprite_folder / f"axe_{number}.png")
        (sprite_folder / f"sprite_{number:02d}.txt").unlink()
    (sprite_folder / "captions.csv").write_text("file,caption\naxe_0.png,a red axe of old\n")
    run(sprite_folder, tmp_path / "out", create_captions=True)
    assert not (tmp_path / "out" / "axe_0.txt").exists()
    assert (tmp_path / "out" / "axe_1.txt").read_text() == "pixel art, axe\n"
    assert "captions.csv: names 1 image without a caption and is not read; write captions into" in caplog.text
    assert "metadata.csv (columns file_name and text)" in caplog.text
    (sprite_folder / "captions.csv").write_text("file,caption\naxe_1.png,a red axe of old\n")
    run(sprite_folder, tmp_path / "out", create_captions=True)
    assert [(tmp_path / "out" / f"axe_{n}.txt").exists() for n in (0, 1)] == [True, False]


def test_names_without_a_subject_are_told_once_and_have_no_caption(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        save(draw_sprite(number), tmp_path / "in" / "Tiles" / f"tile_{number:04d}.png", None)
    save(draw_sprite(20), tmp_path / "in" / "Elf" / "Run_02.png", None)
    run(tmp_path / "in", tmp_path / "out", create_captions=True)
    captions = [r["caption"] for r in records(tmp_path / "out")]
    assert captions == ["pixel art, elf, running", *[None] * 12]
    told = [r.message for r in caplog.records if "[no_subject]" in r.message]
    assert len(told) == 1
    assert "12 of 13 sprites, such as Tiles/tile_0000.png" in told[0]
    assert "mode=edit" in told[0]
    assert "[missing_captions]" not in caplog.text


def test_the_manifest_says_what_lies_there(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "out")
    for record in records(tmp_path / "out"):
        file = tmp_path / "out" / record["file"]
        assert record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert record["source_sha256"] == hashlib.sha256((sprite_folder / record["source"]).read_bytes()).hexdigest()
        original = read_sprite(sprite_folder / record["source"])
        assert record["num_colors"] == len(np.unique(original[original[..., 3] > 0], axis=0))
        assert file.with_suffix(".txt").read_text() == record["caption"] + "\n"
        mask = np.asarray(Image.open(tmp_path / "out" / record["mask"]).convert("L"))
        assert np.array_equal(mask[::8, ::8], original[..., 3])
        matte = np.array(parse_colour(record["matte"]))
        assert ((np.asarray(Image.open(file).convert("RGB")) == matte).all(axis=-1) == (mask == 0)).all()
    metadata = [json.loads(x) for x in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert metadata == [{"file_name": r["file"], "text": r["caption"]} for r in records(tmp_path / "out")]


def test_colour_hidden_under_alpha_0_reaches_no_byte(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "one")
    for file in sprite_folder.glob("*.png"):
        pixels = read_sprite(file).copy()
        pixels[pixels[..., 3] == 0, :3] = np.random.default_rng(0).integers(0, 256, 3)
        pixels[0, ::2, :3] = 7
        Image.fromarray(pixels).save(file)
    run(sprite_folder, tmp_path / "two")
    images = [{k: v for k, v in contents(tmp_path / n).items() if k.endswith(("png", "txt"))} for n in ("one", "two")]
    assert images[0] == images[1]
    assert len(images[0]) == 36


def test_training_takes_a_prepared_folder_as_it_is(sprite_folder: Path, tmp_path: Path) -> None:
    save(draw_sprite(50, 12)[:7], sprite_folder / "flat.png")
    run(sprite_folder, tmp_path / "out")
    sprites = read_folder(tmp_path / "out", 128)
    for sprite in sprites:
        image = training_image(sprite, set_matte(sprites))
        assert np.array_equal(image, np.asarray(Image.open(sprite.file).convert("RGB")))


@pytest.mark.parametrize(
    "settings", [{}, {"resolution": 512}, {"pad": False}, {"buckets": True, "resolution": 512}, {"factor": "each"}]
)
def test_preparing_a_prepared_folder_changes_nothing(
    settings: dict[str, Any], sprite_folder: Path, tmp_path: Path
) -> None:
    save(draw_sprite(51, 21)[:13], sprite_folder / "odd.png")
    halves = draw_sprite(52)
    halves[5:7, 5:9, 3] = 100
    save(halves, sprite_folder / "ghost.png")
    run(sprite_folder, tmp_path / "one", **settings)
    run(tmp_path / "one", tmp_path / "two", **settings)
    images = [{k: v for k, v in contents(tmp_path / n).items() if k.endswith(("png", "txt"))} for n in ("one", "two")]
    assert images[0] == images[1]


def test_a_second_run_writes_nothing(sprite_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(sprite_folder, out)
    before = {f: f.stat().st_mtime_ns for f in out.rglob("*")}
    run(sprite_folder, out)
    assert {f: f.stat().st_mtime_ns for f in out.rglob("*")} == before


def test_a_damaged_output_is_mended_and_the_rest_left(sprite_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(sprite_folder, out)
    before = contents(out)
    (out / "sprite_03.png").unlink()
    (out / "sprite_04.txt").unlink()
    untouched = (out / "sprite_05.png").stat().st_mtime_ns
    run(sprite_folder, out)
    assert contents(out) == before
    assert (out / "sprite_05.png").stat().st_mtime_ns == untouched


def test_what_the_originals_lose_the_output_loses(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "out")
    for suffix in (".png", ".txt"):
        (sprite_folder / f"sprite_03{suffix}").unlink()
    run(sprite_folder, tmp_path / "out")
    run(sprite_folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_caption_changed_in_the_output_stays(sprite_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (sprite_folder / "sprite_02.txt").unlink()
    run(sprite_folder, out)
    assert not (out / "sprite_02.txt").exists()
    (out / "sprite_01.txt").write_text("a better caption")
    (out / "sprite_02.txt").write_text("a new caption")
    (sprite_folder / "sprite_01.txt").write_text("another caption of the original")
    for _ in range(2):
        run(sprite_folder, out)
        told = {r["file"]: (r["caption"], r["caption_from"]) for r in records(out)}
        assert told["sprite_01.png"] == ("a better caption", "edited")
        assert told["sprite_02.png"] == ("a new caption", "edited")
        assert told["sprite_03.png"] == ("pixel art, potion number 3", "source")
        assert (out / "sprite_01.txt").read_text() == "a better caption"


@pytest.mark.parametrize("name", ["sprite_03.png", "sprite_03.txt", ".masks/sprite_03.png", "metadata.jsonl"])
def test_files_of_others_are_never_overwritten(name: str, sprite_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"in the way: 1 file that prepare did not write") as error:
        run(sprite_folder, tmp_path / "out")
    assert name in str(error.value)
    assert contents(tmp_path / "out") == {name: hashlib.sha256(b"mine").hexdigest()}


def test_a_retouched_image_is_not_overwritten(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "out")
    Image.fromarray(draw_sprite(70)).save(tmp_path / "out" / "sprite_03.png")
    with pytest.raises(DatasetError, match=r"changed since.*\n  sprite_03\.png$"):
        run(sprite_folder, tmp_path / "out")


def png_bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )


@pytest.fixture
def hostile_folder(sprite_folder: Path) -> Path:
    whole = (sprite_folder / "sprite_00.png").read_bytes()
    bad = {"truncated": whole[: len(whole) // 2], "text": b"this is text\n", "zero": b"", "bomb": png_bomb()}
    for name, content in bad.items():
        (sprite_folder / f"{name}.png").write_bytes(content)
        (sprite_folder / f"{name}.txt").write_text("pixel art, trap")
    Image.new("RGBA", (16, 16)).save(sprite_folder / "blank.png")
    rng = np.random.default_rng(0)
    save(rng.integers(0, 255, (300, 130, 3), dtype=np.uint8), sprite_folder / "large.png")
    return sprite_folder


BAD = ["blank.png", "bomb.png", "large.png", "text.png", "truncated.png", "zero.png"]


def test_hostile_files_are_all_named_and_nothing_is_written(hostile_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        run(hostile_folder, tmp_path / "out")
    lines = str(error.value).splitlines()
    assert "6 errors found, nothing was written; skip_bad=true leaves these out" in lines[0]
    assert [line.split(": ")[1] for line in lines[1:]] == BAD
    assert "130x300 sprite pixels do not fit 128x128; sprites are never shrunk" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_with_skip_bad_the_good_files_are_prepared(hostile_folder: Path, tmp_path: Path) -> None:
    run(hostile_folder, tmp_path / "out", skip_bad=True)
    assert len(records(tmp_path / "out")) == 12
    assert_native_pixels(hostile_folder, tmp_path / "out")


def test_nothing_good_is_an_error_even_with_skip_bad(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"text")
    with pytest.raises(DatasetError, match="1 error"):
        run(tmp_path / "in", tmp_path / "out", skip_bad=True)


def test_validation_lists_by_file_and_writes_nothing(
    hostile_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DatasetError, match="6 error"):
        run(hostile_folder, None, validate_only=True, skip_bad=True)
    for name in BAD:
        (hostile_folder / name).unlink()
    halves = draw_sprite(1)
    halves[4, 4, 3] = 77
    save(halves, hostile_folder / "ghost.png")
    with caplog.at_level("INFO"):
        run(hostile_folder, tmp_path / "out", validate_only=True)
    assert "note: ghost.png has half-transparent pixels" in caplog.text
    assert "13 images can be prepared; nothing was written" in caplog.text
    assert not (tmp_path / "out").exists()


def test_tiles_together_are_the_sprite(sprite_folder: Path, tmp_path: Path) -> None:
    whole = np.random.default_rng(3).integers(0, 250, (50, 150, 3), dtype=np.uint8)
    save(whole, sprite_folder / "map.png")
    run(sprite_folder, tmp_path / "out", tile=True, resolution=256, scale="1")
    tiles = [r for r in records(tmp_path / "out") if r["source"] == "map.png"]
    again = np.zeros_like(whole)
    side = 256 // tiles[0]["factor"]
    for record in tiles:
        row, column = (int(n) for n in record["tag"][1:].split("c"))
        (w, h), factor = record["native_size"], record["factor"]
        image = np.asarray(Image.open(tmp_path / "out" / record["file"]).convert("RGB"))
        again[row * side :, column * side :][:h, :w] = image[::factor, ::factor][:h, :w]
    assert np.array_equal(again, whole)
    assert (tmp_path / "out" / "map_r0c0.txt").read_text() == "pixel art, thing\n"


def test_stretching_says_so(sprite_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(draw_sprite(3, 16)[:7], sprite_folder / "wide.png")
    with caplog.at_level("INFO"):
        run(sprite_folder, tmp_path / "out", pad=False)
    assert "pad=false: 1 of 13 sprites stretched out of shape; whole factors do not fill the canvas of 1" in caplog.text
    record = next(r for r in records(tmp_path / "out") if r["source"] == "wide.png")
    assert record["factor"] == [8, 18]


@pytest.mark.parametrize("enlarged", [1, 4])
def test_flat_and_blocky_sprites_have_the_scale_of_others_of_their_size(
    enlarged: int, sprite_folder: Path, tmp_path: Path
) -> None:
    save(np.full((16, 16, 3), 90, dtype=np.uint8), sprite_folder / "flat.png")
    save(draw_sprite(60, 8)[..., :3].repeat(2, 0).repeat(2, 1), sprite_folder / "blocky.png")
    for file in sprite_folder.glob("*.png"):
        Image.fromarray(read_sprite(file).repeat(enlarged, 0).repeat(enlarged, 1)).save(file)
    run(sprite_folder, tmp_path / "out")
    assert {(*r["native_size"], r["source_scale"]) for r in records(tmp_path / "out")} == {(16, 16, enlarged)}


def test_a_scale_that_is_not_there_is_an_error(sprite_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"sprite_00\.png: not an enlargement by 4; give scale=auto"):
        run(sprite_folder, tmp_path / "out", scale="4")


def test_images_are_left_out_by_name_and_pattern_with_what_is_said_of_them_elsewhere(
    sprite_folder: Path, tmp_path: Path
) -> None:
    names = {path.name for path in sprite_folder.glob("*.png")}
    first, second = sorted(names)[:2]
    run(sprite_folder, tmp_path / "out", exclude=[first, f"{second[:-4]}*"])
    assert {r["source"] for r in records(tmp_path / "out")} == names - {first, second}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 images that exclude names" in page
    for words, message in (
        ({"exclude": ["nothing.png"]}, r"exclude: no image is called nothing\.png"),
        ({"exclude": ["*"], "include": [first]}, f"include and exclude both name {re.escape(first)}: leave it out of"),
        ({"exclude": ["*"]}, "no images"),
    ):
        with pytest.raises((ConfigError, DatasetError), match=message):
            run(sprite_folder, tmp_path / "other", **words)


def test_a_giant_is_set_aside_and_a_matte_that_is_a_colour_pointed_out(
    sprite_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    giant = draw_sprite(8, 128)
    giant[60, 60, :3], giant[2, 2:80, :3] = (9, 240, 9), (1, 2, 3)
    save(giant, sprite_folder / "giant.png")
    run(sprite_folder, tmp_path / "inside", matte="#09f009")
    assert "matte_in_palette" not in caplog.text
    run(sprite_folder, tmp_path / "out", matte="#010203")
    assert "set aside: giant.png: larger than most: with them all others are enlarged by 1, without by 8" in caplog.text
    assert "'include=[giant.png]' takes it" in caplog.text
    assert {(r["source"] == "giant.png", r["factor"]) for r in records(tmp_path / "out")} == {(False, 8)}
    caplog.clear()
    run(sprite_folder, tmp_path / "out", matte="#010203", include=["gian*"])
    assert "giant.png: so large that all sprites are enlarged 1 times instead of 8; 'exclude=" in caplog.text
    assert re.search(r"background colour #010203 is near .*giant\.png.*matte=auto .*\[matte_in_palette\]", caplog.text)
    assert {r["factor"] for r in records(tmp_path / "out")} == {1}


def test_two_honest_sizes_are_both_taken(sprite_folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        save(draw_sprite(80 + number, 64), sprite_folder / f"boss_{number}_{'abc'[number]}.png")
    run(sprite_folder, tmp_path / "out")
    assert {r["factor"] for r in records(tmp_path / "out")} == {2}
    assert len(records(tmp_path / "out")) == 15


def test_sheets_are_cut_of_themselves_and_what_is_in_doubt_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    art, out = tmp_path / "art", tmp_path / "out"
    save(lay_out([*draw_cutouts(24)], 6, spacing=1), art / "potions.png", None)
    for number, sprite in enumerate(draw_cutouts(9, 5)):
        save(sprite, art / f"axe_{'abcdefghi'[number]}.png", None)
    save(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8), art / "tileset.png", None)
    run(art, out, create_captions=True)
    assert [r["tag"] for r in records(out) if r["tag"]] == [f"r{r}c{c}" for r in range(4) for c in range(6)]
    assert {r["source"] for r in records(out) if not r["tag"]} == {f"axe_{x}.png" for x in "abcdefghi"}
    assert "tileset.png: 96x64 px, left out, for it seems to be a sheet and its cells are not sure" in caplog.text
    assert "'include=[tileset.png:16x16]'" in caplog.text
    run(art, out, include=["tileset.png:16x16"])
    assert len(records(out)) == 24 + 9 + 24
    run(art, out, include=["tileset.png", "potions.png"])
    assert {r["tag"] for r in records(out)} == {""}
    run(art, out, sheet="none")
    assert len(records(out)) == 11


def test_typed_cells_cut_what_they_divide_and_name_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    art, out = tmp_path / "art", tmp_path / "out"
    save(lay_out([*draw_cutouts(12)], 6), art / "potions.png")
    save(draw_sprite(3, 19), art / "face.png")
    run(art, out, sheet="16x16")
    assert len(records(out)) == 13
    assert "1 of 2 images are not cut by sheet=16x16: face.png (19x19 px is no whole number of cells" in caplog.text


def test_pictures_of_a_pack_and_second_sheets_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    art, out = tmp_path / "art", tmp_path / "out"
    tiles = draw_cutouts(24)
    for number, tile in enumerate(tiles):
        save(tile, art / "Tiles" / f"tile_{number:04d}.png", None)
    save(lay_out([*tiles], 6), art / "packed.png", None)
    save(lay_out([*tiles], 8, spacing=1), art / "spaced.png", None)
    save(draw_sprite(9, 100), art / "Preview.png", None)
    others = lay_out([*draw_cutouts(60, 7)], 10, spacing=1)
    save(others, art / "items.png", None)
    save(np.where(others[..., 3:] > 0, others, (255, 0, 255, 255)).astype(np.uint8), art / "items_pink.png", None)
    run(art, out)
    assert {r["source"].split("/")[0] for r in records(out)} == {"Tiles", "items.png"}
    assert len(records(out)) == 84
    assert "left out: picture of the pack: Preview.png; 'include=[Preview.png]' takes it" in caplog.text
    assert "sheets of what lies there as single files: packed.png, spaced.png; " in caplog.text
    assert "left out: sheet with the cells of another sheet: items_pink.png; " in caplog.text


def test_flat_tiles_are_no_empty_cells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tiles = [draw_tile(rng, 16, 16) for _ in range(24)]
    tiles[4][:] = (70, 80, 90, 255)
    tiles[7][:] = 0
    save(lay_out([*tiles], 6, spacing=1), tmp_path / "art" / "tiles.png", None)
    run(tmp_path / "art", tmp_path / "out")
    assert [r["tag"] for r in records(tmp_path / "out")] == [f"r{i // 6}c{i % 6}" for i in range(24) if i != 7]


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"factor": "0"}, "factor is a whole number from 1 on, or auto or each; got '0'"),
    ({"scale": "x2"}, "scale is a whole number from 1 on, or auto; got 'x2'"),
    ({"matte": "red"}, "matte: a colour is written #rrggbb, got 'red', or auto"),
    ({"sheet": "32"}, "sheet is a cell's width and height, as in 32x32, or auto, gaps or none; got '32'"),
    ({"margin": 2}, "margin and spacing belong to sprite sheets"),
    ({"pad": False, "factor": "8"}, "pad=false takes the largest factors"),
    ({"output": None}, "'output' has no value"),
]


@pytest.mark.parametrize(("settings", "message"), MISTAKES, ids=[str(m[0]) for m in MISTAKES])
def test_mistakes_are_answered(settings: dict[str, Any], message: str, sprite_folder: Path, tmp_path: Path) -> None:
    config = PrepareConfig(**{"input": str(sprite_folder), "output": str(tmp_path / "out"), **settings})
    with pytest.raises(ConfigError) as error:
        prepare(config)
    assert message in str(error.value)


@pytest.mark.parametrize("output", ["sprites", "sprites/out", "."])
def test_originals_and_output_lie_apart(output: str, sprite_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lie in one another"):
        run(sprite_folder, tmp_path / output)


def test_folders_that_are_none(sprite_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    cases: list[tuple[Path, Path, str]] = [
        (tmp_path / "nowhere", tmp_path / "out", "no such folder"),
        (tmp_path / "empty", tmp_path / "out", "no images found"),
        (sprite_folder, tmp_path / "file", "a file, not a folder"),
        (sprite_folder, Path("/proc/spritelora"), "cannot be written"),
    ]
    for source, output, message in cases:
        with pytest.raises(DatasetError, match=message):
            run(source, output)


def test_a_foreign_manifest_among_the_originals_is_named(sprite_folder: Path, tmp_path: Path) -> None:
    (sprite_folder / "manifest.jsonl").write_text('{"name": "other"}\n')
    with pytest.raises(DatasetError, match=r"manifest\.jsonl: not a manifest that prepare wrote"):
        run(sprite_folder, tmp_path / "out")


def test_an_unreadable_state_is_named(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "out")
    (tmp_path / "out" / ".prepare" / "state.json").write_text("{")
    with pytest.raises(DatasetError, match=r"state\.json: cannot be read .*; prepare into a new folder"):
        run(sprite_folder, tmp_path / "out")


def test_workers_change_nothing(tmp_path: Path) -> None:
    for i in range(140):
        save(draw_sprite(i), tmp_path / "in" / f"{i:03d}.png")
    run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def start(source: Path, output: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts" / "prepare.py"), f"input={source}", f"output={output}", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_killed_in_the_middle_and_run_again(workers: int, tmp_path: Path) -> None:
    for i in range(200):
        save(draw_sprite(i), tmp_path / "in" / f"{i:03d}.png")
    out = tmp_path / "out"
    process = start(tmp_path / "in", out, f"workers={workers}")
    while process.poll() is None and len(list(out.glob("*.png"))) < 20:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    time.sleep(0.3)
    num_images = len(list(out.glob("*.png")))
    assert 20 <= num_images < 200
    assert not (out / "manifest.jsonl").exists()
    run(tmp_path / "in", out, resolution=1024)
    run(tmp_path / "in", tmp_path / "whole", resolution=1024)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_full_disk_leaves_one_error_and_no_partial_file(sprite_folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    save(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8), sprite_folder / "noise.png")
    limit: Callable[[], None] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    process = start(sprite_folder, tmp_path / "out", "include=[noise.png]", preexec_fn=limit)
    _, errors = process.communicate()
    assert process.returncode == 1
    lines = [line for line in errors.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "noise.png: cannot be written (File too large); make room" in lines[0]
    assert "Traceback" not in errors
    for file in (tmp_path / "out").rglob("*.png"):
        Image.open(file).load()
    assert not list((tmp_path / "out" / ".prepare").glob("partial*"))


def test_the_command_line_validates_and_exits_with_its_status(hostile_folder: Path, tmp_path: Path) -> None:
    here = set(os.listdir(tmp_path))  # noqa: PTH208
    process = start(hostile_folder, tmp_path / "out", "validate_only=true", "resolution=128")
    _, errors = process.communicate()
    assert process.returncode == 1, errors
    assert "error: " in errors
    assert "6 errors found" in errors
    assert set(os.listdir(tmp_path)) == here  # noqa: PTH208


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    from spritelora.sprites.prepare.output_folder import claimed

    with (
        claimed(tmp_path / "out"),
        pytest.raises(DatasetError, match="another prepare is writing here"),
        claimed(tmp_path / "out"),
    ):
        pass


def test_a_killed_worker_is_an_error_and_not_a_wait() -> None:
    from spritelora.commands.prepare.parallel import map_in_order

    with pytest.raises(SpriteLoraError, match="worker process was killed"):
        list(map_in_order(end_process, list(range(200)), 2))


def end_process(_job: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_manifest_reads_back(sprite_folder: Path, tmp_path: Path) -> None:
    run(sprite_folder, tmp_path / "out")
    sprites = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert [s.file for s in sprites] == [r["file"] for r in records(tmp_path / "out")]
    assert sprites[0].fit.factors == (8, 8)


def test_a_name_with_a_separator_of_unicode_is_one_line_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).parent.mkdir()
    (tmp_path / JOURNAL).write_bytes("abc a\u2028b\u0085c.png\ndef d.png\n".encode())
    assert read_ledger(tmp_path, State()) == {"a\u2028b\u0085c.png": {"abc"}, "d.png": {"def"}}


def test_a_sheet_is_decoded_once_for_all_its_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []

    def read_and_count(file: Path, most: Limit) -> Pixels:
        decoded.append(file)
        return read_sprite(file, most)

    monkeypatch.setattr(sheet, "read_sprite", read_and_count)
    save(lay_out([*draw_cutouts(20)], 5), tmp_path / "art" / "potions.png")
    run(tmp_path / "art", tmp_path / "out", sheet="16x16")
    assert len(records(tmp_path / "out")) == 20
    assert decoded == [tmp_path / "art" / "potions.png"]


def test_processes_that_share_a_sheet_write_what_one_does(tmp_path: Path) -> None:
    save(lay_out([*draw_cutouts(132)], 12), tmp_path / "art" / "potions.png")
    for workers in (1, 2):
        run(tmp_path / "art", tmp_path / str(workers), sheet="16x16", workers=workers, resolution=64)
    assert len(records(tmp_path / "1")) == 132
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_an_animation_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Equal frames and equal captions of one walk are no finding, whether they are files or cells; other ones are."""
    walk, stand = draw_sprite(1), draw_sprite(2)
    for name, pixels in {"knight_walk_0": walk, "knight_walk_1": stand, "knight_walk_2": walk}.items():
        save(pixels, tmp_path / "files" / f"{name}.png", "pixel art, knight with a long sword, walking")
    run(tmp_path / "files", tmp_path / "out")
    assert not re.search("duplicate", caplog.text)
    caplog.clear()
    save(walk, tmp_path / "files" / "copy.png", "pixel art, knight with a long sword, walking")
    run(tmp_path / "files", tmp_path / "other")
    assert len(re.findall(r"knight_walk_0\.png: the same native pixels as copy\.png.*\[duplicate\]", caplog.text)) == 1
    assert len(re.findall(r"\[duplicate_caption\] \(and 1 more\)", caplog.text)) == 1
    caplog.clear()
    save(np.concatenate([walk, stand, walk], axis=1), tmp_path / "sheet" / "hero.png", "pixel art, a hero in blue")
    run(tmp_path / "sheet", tmp_path / "cells", sheet="16x16")
    assert not re.search("duplicate", caplog.text)
