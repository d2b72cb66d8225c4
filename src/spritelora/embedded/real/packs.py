"""The folders of real sprites that the base learns from, and the one file that they are packed in."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from spritelora.embedded.real.hues import colours_of
from spritelora.embedded.real.records import NUM_FOLDS, PackedSet, Record, fold_of, pack, shows_held_out_pair
from spritelora.errors import DatasetError
from spritelora.files import JsonObject, write_whole
from spritelora.sprites.pixels.image import read_sprite
from spritelora.weight_files.container import read_tensors_and_metadata

Pixels = NDArray[np.uint8]

TILES, PARTS, SMALL = "cc0", "cc0_parts", "cc0_small"
LISTS = {TILES: "metadata.jsonl", PARTS: "parts.jsonl", SMALL: "metadata.jsonl"}

HANDS = {"tiny-creatures": "kenney style", "tiny-dungeon": "kenney style", "ninja-adventure": "pixelboy style"}
TILES_HAND = "crawl style"
"""The words for the packs' styles."""

VIEWS = ("seen from the front", "seen from the back", "facing left", "facing right")
POSES = ("standing", "walking", "attacking", "jumping", "lying down", "holding up its hands")
NOT_SAID = ("pixel art", "full tile", "plain background", "item icon")
CLASSES = {"creatures": "creature", "animals": "animal", "monsters": "monster", "heroes": "person"}
SEXES = {"f": "woman", "m": "man"}
LEFT_OUT_LAYERS = ("barding", "drchead", "drcwing", "ench")
SPELLINGS = {"grey": "gray", "darkgray": "dark gray", "darkgrey": "dark gray", "lightgray": "light gray",
             "lightgrey": "light gray", "darkbrown": "dark brown", "lightbrown": "light brown",
             "darkgreen": "dark green", "lightgreen": "light green", "greyed": "grayed", "magenta": "pink"}  # fmt: skip


def read_packed(file: Path, data: Path) -> PackedSet:
    """The set of a packed file, which is made from the folders in `data` where it is not there."""
    if not file.exists():
        packed = pack(*read_sources(data))
        described = json.dumps([dataclasses.asdict(record) for record in packed.records])
        write_whole(file, save({"pixels": packed.pixels, "starts": packed.starts}, {"records": described}))
    tensors, metadata = read_tensors_and_metadata(file)
    rows: list[JsonObject] = json.loads(metadata["records"])
    return PackedSet([to_record(row) for row in rows], tensors["pixels"].numpy(), tensors["starts"].numpy())


def to_record(row: JsonObject) -> Record:
    """A record from its JSON object, whose lists are tuples here."""
    fields: JsonObject = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Record(**fields)


def read_sources(folder: Path) -> tuple[list[Record], list[Pixels]]:
    """All sprites of the folders in `folder`, (H, W, 4) each, in the order of their lists.

    Cut to their visible pixels, but for the parts of characters, which lie over one another as they are.

    Raises DatasetError that names each folder without its list.
    """
    missing = [str(folder / name / file) for name, file in LISTS.items() if not (folder / name / file).is_file()]
    if missing:
        raise DatasetError(f"data={folder}: no {', no '.join(missing)}; give the folder that holds {', '.join(LISTS)}")
    records: list[Record] = []
    sprites: list[Pixels] = []
    for name in LISTS:
        for row in read_rows(folder / name / LISTS[name]):
            sprite = make_solid(read_sprite(folder / name / row["file_name"]))
            sprite = sprite if name == PARTS else cut(sprite)
            record = DESCRIBERS[name](row, sprite)
            if record is not None:
                records.append(record)
                sprites.append(sprite)
    return records, sprites


def read_rows(file: Path) -> Iterator[JsonObject]:
    """The objects of a file of JSON lines."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)


def make_solid(sprite: Pixels) -> Pixels:
    """A sprite (H, W, 4) whose pixels are visible or not, and black where they are not."""
    solid = sprite[..., 3] > 127
    return np.where(solid[..., None], np.dstack([sprite[..., :3], np.full_like(solid, 255, np.uint8)]), np.uint8(0))


def cut(sprite: Pixels) -> Pixels:
    """A sprite without the empty rows and columns around it; one pixel of an empty one."""
    rows, columns = np.nonzero(sprite[..., 3])
    if not len(rows):
        return sprite[:1, :1]
    return sprite[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def clean(text: str) -> str:
    """Lower-case words of letters alone, in the card's spelling."""
    words = re.sub(r"[^a-z]+", " ", text.lower()).split()
    spelt = " ".join(SPELLINGS.get(word, word) for word in words if len(word) > 1 or word in ("a", "i"))
    return spelt.removesuffix(" a")  # "snake a" is the first of several snakes


def phrases_of(text: str) -> list[str]:
    """The phrases of a caption, cleaned, without those that say nothing of the sprite."""
    return [clean(phrase) for phrase in text.split(",") if phrase.strip() not in NOT_SAID and clean(phrase)]


def describe_tile(row: JsonObject, sprite: Pixels) -> Record | None:
    """A record of `cc0`: a name, then ever broader kinds."""
    name, *kinds = phrases_of(row["text"])
    if name.startswith("i "):
        name = f"{name[2:]} symbol"
    kinds = [kind for kind in dict.fromkeys(kinds) if kind not in name]
    group = str(row["file_name"]).split("/")[0]
    return make_record(f"{group}/{name}", group, name, tuple(kinds), "", "", TILES_HAND, "", sprite)


def describe_small(row: JsonObject, sprite: Pixels) -> Record | None:
    """A record of `cc0_small`: a name, pose and view, a kind."""
    group = str(row["file_name"]).split("/")[0]
    name, *others = phrases_of(row["text"])
    view = next((phrase for phrase in others if phrase in VIEWS), "")
    pose = next((phrase for phrase in others if phrase in POSES), "")
    kinds = [phrase for phrase in others if phrase not in (view, pose)]
    if group in CLASSES:
        kinds.append(CLASSES[group])
    return make_record(row["subject"], group, name, tuple(kinds), view, pose, HANDS[row["pack"]], "", sprite)


def describe_part(row: JsonObject, sprite: Pixels) -> Record | None:
    """A record of `cc0_parts`, not cut: a layer of a character. None for layers of mounts and dragons."""
    if row["layer"] in LEFT_OUT_LAYERS:
        return None
    words = re.split(r"[\s\d]+", row["name"])
    if row["layer"] == "base":
        words = [SEXES.get(word, word) for word in words]
    name = clean(" ".join(words)) or row["layer"]
    return make_record(f"parts/{name}", PARTS, name, (), "", "", TILES_HAND, row["layer"], sprite)


def make_record(
    subject: str, group: str, name: str, kinds: tuple[str, ...], view: str, pose: str, hand: str, layer: str,
    sprite: Pixels,
) -> Record | None:  # fmt: skip
    """A record with what its pixels say; None for a sprite that shows nothing, or a pair that is held out."""
    colours = tuple(colours_of(sprite))
    if sprite[..., 3].sum() == 0 or shows_held_out_pair(name, kinds, colours):
        return None
    is_opaque = bool((sprite[..., 3] == 255).mean() > 0.97 and min(sprite.shape[:2]) >= 14)
    is_held_out = not layer and fold_of(subject, NUM_FOLDS) == 0
    height, width = sprite.shape[:2]
    return Record(
        subject, group, name, kinds, view, pose, hand, layer, (height, width), colours, is_opaque, is_held_out
    )


DESCRIBERS = {TILES: describe_tile, PARTS: describe_part, SMALL: describe_small}
