"""From a folder of game art to training-ready pairs: survey, check, plan, write; each file whole or not at all."""

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from spritelora.commands.prepare.captions import settle_captions
from spritelora.commands.prepare.lint import lint
from spritelora.commands.prepare.parallel import map_in_order
from spritelora.commands.prepare.report import announce, announce_pack, announce_stretch, refusal, report, report_of
from spritelora.commands.prepare.settings import Settings, fit_options_of, folders_of, matte_of, reading_of, sheets_of
from spritelora.commands.prepare.write import SETTLES_S, SetPlan, write_set
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.train.processes import num_cpus
from spritelora.errors import DatasetError
from spritelora.long_work import Progress, going_on
from spritelora.sprites.findings import Severity
from spritelora.sprites.folder.prepared import Prepared
from spritelora.sprites.folder.sources import Found, Source, refuse_empty, survey_folder
from spritelora.sprites.prepare.intake import Intake, take_in
from spritelora.sprites.prepare.outliers import set_aside
from spritelora.sprites.prepare.output_folder import State, is_complete, read_ledger, read_state, sha256_of
from spritelora.sprites.prepare.plan import plan_matte, plan_set
from spritelora.sprites.prepare.survey import NativeSprites, Reading, SurveyedFile, label, settle_set, survey_file
from spritelora.sprites.prepare.write_set import Caption

log = logging.getLogger(__name__)

FORMAT = 4
"""Raised when the same originals give other files or findings than before, so that folders are made anew."""

WITHOUT_EFFECT = ("input", "output", "workers", "validate_only")
"""Keys that change nothing in what is written."""


def prepare(config: PrepareConfig, words: Sequence[str] = ()) -> None:
    """Make the data set, or only check the originals. Raises DatasetError with all errors found, by file.

    `words`: of the command line.
    """
    begun_s = time.monotonic()
    folder, output = folders_of(config)
    settings = Settings(reading_of(config), fit_options_of(config), matte_of(config))
    intake = take_in(folder, survey_folder(folder), sheets_of(config))
    found = intake.found
    refuse_empty(folder, found, "; input names the folder that holds them")
    state = read_state(output) if output else State()
    fingerprint = _fingerprint(config, found)
    if output and not config.validate_only and state.fingerprint == fingerprint and is_complete(output, state):
        report(state.findings, brief=True)
        log.info("%s: all as prepared before, nothing to do", output)
        return
    ledger = read_ledger(output, state) if output else {}
    plan = _plan(config, settings, intake, output, ledger)
    report(plan.findings, brief=not config.validate_only)
    announce_pack(plan, folder)
    if config.validate_only or output is None:
        log.info("%s: %d images can be prepared; nothing was written", folder, len(plan.captions))
        return
    page = report_of(plan, folder)
    with going_on("prepare", words):
        sprites = write_set(plan, page, output, fingerprint, ledger, config.workers or num_cpus())
    announce(sprites, output)
    if not config.pad:
        announce_stretch(sprites)
    log.info("done in %.1f s", time.monotonic() - begun_s)


def _plan(
    config: PrepareConfig,
    settings: Settings,
    intake: Intake,
    output: Path | None,
    ledger: Mapping[str, set[str]],
) -> SetPlan:
    """Plans the files to write. Raises DatasetError for errors unless bad files are to be skipped."""
    folder, found = Path(config.input), intake.found
    jobs = [(source, settings.reading, found.prepared.get(source.name)) for source in found.sources]
    with Progress(len(jobs), "file", "reading", settles_s=SETTLES_S) as progress:
        surveyed = list(progress.each(map_in_order(_survey, jobs, config.workers or num_cpus())))
    files, ground_findings = settle_set(surveyed, settings.reading)
    files, aside, aside_findings = set_aside(files, settings.fit, intake.included)
    left_out = (*intake.left_out, *([aside] if aside else []))
    plan = dataclasses.replace(_plan_files(files, config, settings, output, ledger), left_out=left_out)
    natives = NativeSprites(files, settings.reading)
    findings = [
        *found.problems,
        *ground_findings,
        *aside_findings,
        *lint(files, natives, _captions_by_label(plan), config),
        *plan.findings,
    ]
    errors = [f for f in findings if f.severity is Severity.error]
    if not errors:
        return dataclasses.replace(plan, findings=findings, natives=natives)
    good = _without({e.file for e in errors}, files)
    can_skip = bool(good) and all(e.file for e in errors)
    if config.validate_only or not config.skip_bad or not can_skip:
        report([f for f in findings if f.severity is not Severity.error], brief=not config.validate_only)
        raise DatasetError(refusal(folder, errors, can_skip))
    again = _plan_files(good, config, settings, output, ledger)
    return dataclasses.replace(again, findings=findings, natives=natives, left_out=left_out)


def _plan_files(
    files: Sequence[SurveyedFile],
    config: PrepareConfig,
    settings: Settings,
    output: Path | None,
    ledger: Mapping[str, set[str]],
) -> SetPlan:
    planned, fit_findings = plan_set(files, settings.fit)
    captions, caption_findings = settle_captions(planned, config, output, ledger)
    matte, matte_findings = plan_matte(files, settings.matte)
    natives = NativeSprites(files, settings.reading)
    return SetPlan(
        planned, captions, settings.reading, natives, matte, [*fit_findings, *caption_findings, *matte_findings]
    )


def _captions_by_label(plan: SetPlan) -> dict[str, Caption]:
    return {
        label(p.surveyed.source.name, p.surveyed.sprites[piece.number].tag): plan.captions[piece.stem]
        for p in plan.planned
        for piece in p.pieces
    }


def _survey(job: tuple[Source, Reading, Prepared | None]) -> SurveyedFile:
    return survey_file(*job)


def _without(bad: set[str], files: Sequence[SurveyedFile]) -> list[SurveyedFile]:
    """The files without the sprites that have errors, and without those that have no other."""
    kept = [
        dataclasses.replace(f, sprites=tuple(s for s in f.sprites if label(f.source.name, s.tag) not in bad))
        for f in files
        if f.source.name not in bad
    ]
    return [file for file in kept if file.sprites]


def _fingerprint(config: PrepareConfig, found: Found) -> str:
    """A hash of all that decides the output: settings, and the bytes of the originals and their descriptions."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in WITHOUT_EFFECT}
    problems = [[problem.kind, problem.file] for problem in found.problems]
    digest = hashlib.sha256(json.dumps([FORMAT, settings, problems]).encode())
    for source in found.sources:
        beside = [sha256_of(f) for f in (source.file, source.index) if f is not None]
        if prepared := found.prepared.get(source.name):
            mask = prepared.record.mask
            beside += [repr(prepared.record), mask and sha256_of(prepared.folder / mask)]
        known = [source.name, source.caption, source.unread, source.repeats, source.group, repr(source.layout)]
        digest.update(json.dumps([*known, *beside]).encode())
    return digest.hexdigest()
