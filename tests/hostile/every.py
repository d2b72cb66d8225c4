"""All kinds of hostile files, in one order, and what they have in common."""

from collections.abc import Iterable
from pathlib import Path

from tests.hostile import bases, caches, configurations, images, loras, pages, prepared, runs, tables
from tests.hostile.trial import Kind


def every_kind() -> list[Kind]:
    """All kinds."""
    rooms = (images, tables, loras, bases, caches, prepared, pages, configurations, runs)
    return [kind for room in rooms for kind in room.kinds()]


def make_shared(folder: Path, kinds: Iterable[Kind]) -> Path:
    """What these kinds are made of, in a folder that none may change: a prepared set, a cache, a run."""
    folder.mkdir(parents=True)
    readers = {kind.reader for kind in kinds}
    if any("cache" in reader for reader in readers):
        (folder / "cached.txt").write_text(caches.make_cache(folder / "cached"))
    if readers & {"manifest (train)", "prepare's state"}:
        prepared.make_prepared(folder)
    if any("resume" in reader or "run" in reader or "sweep" in reader for reader in readers):
        runs.make_run(folder)
    return folder
