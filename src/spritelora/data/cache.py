"""Results of frozen parts, kept on disk under a name that is a hash of all they depend on."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from spritelora.errors import CacheError
from spritelora.files import write_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What is kept under one key: tensors, and notes about how they came to be."""

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

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry of that kind and key, None where there is none; a damaged one is reported and made again."""
        file = self._file(kind, key)
        try:
            with safe_open(file, framework="pt") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
                return Entry(tensors, dict(stored.metadata() or {}))
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            log.warning("cache entry %s is damaged (%s) and is made again", file, error)
            return None

    def store(
        self, kind: str, key: str, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
    ) -> Entry:
        """Keep an entry; it appears whole or not at all. Raises CacheError where it cannot be written."""
        file = self._file(kind, key)
        entry = Entry(dict(tensors), dict(notes or {}))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, save(entry.tensors, metadata=entry.notes))
        except OSError as error:
            raise CacheError(f"{file}: cannot be written ({error}); free space or set data.cache=FOLDER") from error
        return entry

    def _file(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.safetensors"


def content_key(**parts: object) -> str:
    """A hash of named values; any difference in any of them gives another key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
