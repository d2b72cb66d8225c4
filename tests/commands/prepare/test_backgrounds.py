"""What `prepare` does with plain backgrounds: cut out, recorded, shown, and never twice."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritelora.errors import ConfigError
from spritelora.sprites.folder.manifest import read_manifest
from spritelora.sprites.folder.prepared import find_prepared, restore
from spritelora.sprites.pixels.image import Pixels, apply_matte, scale_nearest
from tests.commands.prepare.test_prepare import contents, run
from tests.conftest import draw_sprite

MAGENTA = (255, 0, 255)


def cutouts(number: int) -> list[Pixels]:
    """Sprites with clear ground around them."""
    return [draw_sprite(seed, 16) for seed in range(number)]


def write(folder: Path, sprites: Sequence[Pixels]) -> Path:
    folder.mkdir()
    for i, sprite in enumerate(sprites):
        Image.fromarray(sprite).save(folder / f"thing_{'abcdefghijklmnop'[i]}.png")
        (folder / f"thing_{'abcdefghijklmnop'[i]}.txt").write_text(f"pixel art, thing {i}\n")
    return folder


def natives(folder: Path) -> list[Pixels]:
    files = sorted(folder.glob("*.png"))
    prepared = find_prepared(folder, folder.iterdir(), {f.name for f in files}).images
    return [restore(f, prepared[f.name]).pixels for f in files]


def boxed(sprites: Sequence[Pixels], factor: int = 1) -> list[Pixels]:
    return [scale_nearest(apply_matte(s, MAGENTA), factor) for s in sprites]


def test_a_pack_on_magenta_becomes_what_the_same_pack_with_alpha_becomes(tmp_path: Path) -> None:
    sprites = cutouts(10)
    source = write(tmp_path / "boxed", boxed(sprites, 8))
    run(source, tmp_path / "out")
    for native, sprite in zip(natives(tmp_path / "out"), sprites, strict=True):
        assert np.array_equal(native[..., 3], sprite[..., 3])
        assert np.array_equal(native, sprite * (sprite[..., 3:] > 0))
    records = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert {r.ground for r in records} == {"#ff00ff"}
    assert all(r.mask for r in records)
    written = contents(tmp_path / "out")
    run(source, tmp_path / "out")
    assert contents(tmp_path / "out") == written
    run(tmp_path / "out", tmp_path / "again")
    assert {r.ground for r in read_manifest(tmp_path / "again" / "manifest.jsonl")} == {"#ff00ff"}
    assert [n.tobytes() for n in natives(tmp_path / "again")] == [n.tobytes() for n in natives(tmp_path / "out")]


def test_a_folder_with_alpha_is_prepared_as_without_the_key(tmp_path: Path) -> None:
    source = write(tmp_path / "clear", cutouts(6))
    for wish in ("auto", "keep"):
        run(source, tmp_path / wish, cut_background=wish)
    auto, keep = (contents(tmp_path / wish) for wish in ("auto", "keep"))
    assert {n: h for n, h in auto.items() if n != ".prepare/state.json"} == {
        n: h for n, h in keep.items() if n != ".prepare/state.json"
    }


def test_keep_leaves_the_box_and_a_mistake_is_answered(tmp_path: Path) -> None:
    source = write(tmp_path / "boxed", boxed(cutouts(3)))
    run(source, tmp_path / "kept", cut_background="keep")
    assert all((n[..., 3] == 255).all() for n in natives(tmp_path / "kept"))
    with pytest.raises(ConfigError, match=r"cut_background: .*#rrggbb.*auto.*keep"):
        run(source, tmp_path / "out", cut_background="magenta")
