"""All real sprites in one file: their pixels in one block, what is known of them beside it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from spritelora.embedded.records import Record
from spritelora.embedded.sources import read_sources
from spritelora.files import write_whole

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PackedSet:
    """Records and where their pixels are. `pixels`: (num_pixels, 4); `starts`: of each record's first pixel."""

    records: list[Record]
    pixels: Pixels
    starts: NDArray[np.int64]

    def sprite(self, number: int) -> Pixels:
        """The sprite of a record, (H, W, 4)."""
        height, width = self.records[number].shape
        start = self.starts[number]
        return self.pixels[start : start + height * width].reshape(height, width, 4)


def pack(records: list[Record], sprites: list[Pixels]) -> PackedSet:
    """A set in memory; `sprites` have the shapes that the records name."""
    sizes = [height * width for height, width in (record.shape for record in records)]
    starts = np.cumsum([0, *sizes])[:-1].astype(np.int64)
    return PackedSet(records, np.concatenate([sprite.reshape(-1, 4) for sprite in sprites]), starts)


def read_packed(file: Path, data: Path) -> PackedSet:
    """The set of a packed file, which is made from the folders in `data` where it is not there."""
    if not file.exists():
        packed = pack(*read_sources(data))
        described = json.dumps([dataclasses.asdict(record) for record in packed.records])
        write_whole(file, save({"pixels": packed.pixels, "starts": packed.starts}, {"records": described}))
    with safe_open(file, "numpy") as opened:
        rows: list[dict[str, Any]] = json.loads(opened.metadata()["records"])
        return PackedSet([to_record(row) for row in rows], opened.get_tensor("pixels"), opened.get_tensor("starts"))


def to_record(row: dict[str, Any]) -> Record:
    """A record from its JSON object, whose lists are tuples here."""
    return Record(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
