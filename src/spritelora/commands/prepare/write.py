"""The writing half of `prepare`: nothing foreign is touched, and a killed run goes on to the same folder."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.commands.prepare.parallel import map_in_order
from spritelora.errors import DatasetError
from spritelora.long_work import Progress
from spritelora.shown import counted
from spritelora.sprites.findings import Finding
from spritelora.sprites.folder.manifest import MANIFEST, METADATA, PreparedSprite, encode_manifest, encode_metadata
from spritelora.sprites.pixels.placement import Pair
from spritelora.sprites.prepare.intake import LeftOut
from spritelora.sprites.prepare.output_folder import (
    PRIVATE,
    State,
    check_own,
    claimed,
    finish,
    foreign_files,
    put_file,
    remove_files,
    sha256_of,
)
from spritelora.sprites.prepare.plan import Pair3, PlannedFile
from spritelora.sprites.prepare.survey import NativeSprites, Reading, label
from spritelora.sprites.prepare.write_set import (
    Caption,
    WriteJob,
    Written,
    caption_name,
    image_name,
    mask_name,
    write_file,
)

MOST_NAMED = 10
SPRITES_PER_PART = 64
SETTLES_S = 3.0
"""Work of up to so many seconds is not announced; processes answer in bursts, whose pace is taken over as long."""
REPORT = "report.html"
OF_THE_SET = (METADATA, MANIFEST, REPORT)
"""Files made from all others: ours once we wrote them, whatever they say now."""


@dataclass(frozen=True)
class SetPlan:
    """The files to write. `captions`: by stem. `matte`: of the whole set. `left_out`: what is not taken, by kind."""

    planned: Sequence[PlannedFile]
    captions: Mapping[str, Caption]
    reading: Reading
    natives: NativeSprites
    matte: Pair3
    findings: Sequence[Finding]
    left_out: Sequence[LeftOut] = ()

    @property
    def sizes(self) -> list[Pair]:
        """The native size of each sprite, width before height."""
        return [piece.size for planned in self.planned for piece in planned.pieces]


def write_set(
    plan: SetPlan, page: str, output: Path, fingerprint: str, ledger: Mapping[str, set[str]], workers: int
) -> list[PreparedSprite]:
    """Write all files, those of the whole set and its report `page` last.

    What earlier runs wrote and this one does not is removed.
    """
    _refuse_foreign(output, plan.captions, ledger)
    kinds = _kinds(plan.findings)
    parts = [part for planned in plan.planned for part in _parts(planned)]
    jobs = [_job(part, plan, output, kinds) for part in parts]
    sprites_per_job = max(1, sum(len(part.surveyed.sprites) for part in parts) // max(1, len(parts)))
    with claimed(output):
        (output / MANIFEST).unlink(missing_ok=True)
        written: list[Written] = []
        with Progress(len(plan.captions), "sprite", "writing", settles_s=SETTLES_S) as progress:
            for file in map_in_order(write_file, jobs, workers, sprites_per_job):
                written.append(file)
                progress.advance(len(file.sprites))
        sprites = [sprite for w in written for sprite in w.sprites]
        files = {name: sha256 for w in written for name, sha256 in w.files.items()}
        files[METADATA] = put_file(output, METADATA, encode_metadata(sprites))
        files[REPORT] = put_file(output, REPORT, page.encode("utf-8", "backslashreplace"))
        kept = {n: sha256_of(output / n) for s in sprites if (n := caption_name(s.file[:-4])) not in files}
        stale = [n for n in ledger if n not in files and not n.startswith(PRIVATE) and n not in OF_THE_SET]
        remove_files(output, [n for n in stale if not foreign_files(output, [n], ledger)])
        files[MANIFEST] = put_file(output, MANIFEST, encode_manifest(sprites))
        finish(output, State(fingerprint, files, kept, tuple(plan.findings)))
    return sprites


def _parts(planned: PlannedFile) -> list[PlannedFile]:
    """A file with many sprites as several with some of them each, so that processes share it."""
    sprites = planned.surveyed.sprites
    parts: list[PlannedFile] = []
    for start in range(0, len(sprites), SPRITES_PER_PART):
        surveyed = dataclasses.replace(planned.surveyed, sprites=sprites[start : start + SPRITES_PER_PART])
        own = (p for p in planned.pieces if start <= p.number < start + SPRITES_PER_PART)
        parts.append(PlannedFile(surveyed, tuple(dataclasses.replace(p, number=p.number - start) for p in own)))
    return parts


def _job(planned: PlannedFile, plan: SetPlan, output: Path, kinds: Mapping[str, tuple[str, ...]]) -> WriteJob:
    captions = {piece.stem: plan.captions[piece.stem] for piece in planned.pieces}
    return WriteJob(planned, plan.reading, output, plan.matte, captions, _kinds_of_file(planned, kinds))


def _refuse_foreign(output: Path, captions: Mapping[str, Caption], ledger: Mapping[str, set[str]]) -> None:
    """Raise DatasetError if a file that would be written is there already and not from here."""
    names = [image_name(stem) for stem in captions] + [mask_name(stem) for stem in captions]
    names += [caption_name(stem) for stem, caption in captions.items() if caption.origin != "edited"]
    check_own(output, [*names, *ledger])
    foreign = foreign_files(output, names, ledger)
    foreign += [n for n in OF_THE_SET if n not in ledger and os.path.lexists(output / n)]
    if foreign:
        more = [f"... and {len(foreign) - MOST_NAMED} more"] if len(foreign) > MOST_NAMED else []
        listed = "\n  ".join([*foreign[:MOST_NAMED], *more])
        raise DatasetError(
            f"{output}: in the way: {counted(len(foreign), 'file')} that prepare did not write, or that changed since; "
            f"move what is yours or give another output; nothing was written\n  {listed}"
        )


def _kinds(findings: Sequence[Finding]) -> dict[str, tuple[str, ...]]:
    kinds: dict[str, set[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.file, set()).add(finding.kind)
    return {file: tuple(sorted(names)) for file, names in kinds.items()}


def _kinds_of_file(planned: PlannedFile, kinds: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Kinds of findings by sprite of a file; one about the file is about each of them."""
    name = planned.surveyed.source.name
    labels = {label(name, sprite.tag) for sprite in planned.surveyed.sprites}
    return {x: tuple(sorted({*kinds.get(name, ()), *kinds.get(x, ())})) for x in labels if {x, name} & kinds.keys()}
