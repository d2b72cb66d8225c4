"""Results of frozen parts, kept on disk under a name that is a hash of all they depend on, and that they repeat."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spritelora.errors import CacheError, first_line
from spritelora.files import write_whole

log = logging.getLogger(__name__)

OF = "of"
"""The note that says what an entry is: its kind and key, which a file that was renamed or copied does not match."""

Shapes = Mapping[str, Sequence[int]]
"""The shape of each tensor of an entry."""


@dataclass(frozen=True)
class Entry:
    """The contents of one key: tensors, and notes on their origin."""

    tensors: dict[str, Tensor]
    notes: dict[str, str]


@dataclass(frozen=True)
class Cache:
    """A folder of entries; any number of processes may read and write it at once."""

    folder: Path

    @property
    def hashes(self) -> Path:
        """The folder of notes on files that were hashed."""
        return self.folder / "hashes"

    def find(self, kind: str, key: str, shapes: Shapes) -> Entry | None:
        """The entry of that kind and key, None where there is none.

        One that is damaged, is of something else, has other tensors than `shapes`, or numbers that are none, is
        reported and made again; so is one that does not say what it is of, as in earlier versions.
        """
        file = self._file(kind, key)
        try:
            with safe_open(file, framework="pt") as stored:
                notes = dict(stored.metadata() or {})
                if OF not in notes:  # an earlier version's, which says nothing of what it is
                    return None
                if notes[OF] != f"{kind}/{key}":
                    raise ValueError("it is of something else than its name says")
                _check_names(stored.keys(), shapes)
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            _check_tensors(tensors, shapes)
            return Entry(tensors, notes)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            log.warning("cache entry %s is damaged (%s) and is made again", file, first_line(error))
            return None

    def store(
        self, kind: str, key: str, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
    ) -> Entry:
        """Keep an entry; it appears whole or not at all. Raises CacheError where it cannot be written."""
        file = self._file(kind, key)
        entry = Entry(dict(tensors), dict(notes or {}))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, save(entry.tensors, metadata={**entry.notes, OF: f"{kind}/{key}"}))
        except OSError as error:
            raise CacheError(f"{file}: cannot be written ({error}); free space or set data.cache=FOLDER") from error
        return entry

    def _file(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.safetensors"


def _check_names(names: Sequence[str], shapes: Shapes) -> None:
    if sorted(names) != sorted(shapes):
        held, wanted = (", ".join(sorted(some)[:3]) or "nothing" for some in (names, shapes))
        raise ValueError(f"it holds {held} and not {wanted}")


def _check_tensors(tensors: Mapping[str, Tensor], shapes: Shapes) -> None:
    """Raise ValueError for tensors of another shape or number format, and for numbers that are none."""
    for name, tensor in tensors.items():
        if tensor.shape != torch.Size(shapes[name]) or tensor.dtype != torch.float32:
            found = f"{str(tensor.dtype).removeprefix('torch.')} of {tuple(tensor.shape)}"
            raise ValueError(f"{name} is {found}, not float32 of {tuple(shapes[name])}")
        # The sum is quicker, and finite unless a number is not, or many are huge.
        if not (tensor.sum().isfinite() or tensor.isfinite().all()):
            raise ValueError(f"{name} holds numbers that are not finite")


def content_key(**parts: object) -> str:
    """A hash of named values; any difference in any of them gives another key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
