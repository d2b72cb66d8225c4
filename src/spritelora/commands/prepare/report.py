"""The report of `prepare`: findings by file, and the result."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from spritelora import limits
from spritelora.commands.prepare.changes import changes_of
from spritelora.commands.prepare.write import SetPlan
from spritelora.embedded.reach import size_note
from spritelora.errors import DatasetError
from spritelora.reports.pack_part import (
    MOST_PICTURED,
    LeftOutImage,
    LeftOutKind,
    PackPart,
    left_out_picture,
    overview_picture,
    pack_sentence,
)
from spritelora.reports.set_report import ReportSprite, Trained, make_report
from spritelora.shown import counted
from spritelora.sprites.findings import Finding, Severity, group_findings
from spritelora.sprites.folder.manifest import PreparedSprite
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import read_sprite
from spritelora.sprites.prepare.intake import LeftOut, doubt_text
from spritelora.sprites.prepare.plan import Piece, PlannedFile
from spritelora.sprites.prepare.survey import label

log = logging.getLogger(__name__)

MOST_KINDS = 3
MOST_LEFT_OUT = 24


def report(findings: Sequence[Finding], brief: bool) -> None:
    """Say what was found by file, the worst first; `brief`: a line for each of the kinds that matter most."""
    if not brief:
        order = list(Severity)
        for finding in sorted(findings, key=lambda f: (f.file, order.index(f.severity))):
            log.warning("%s", line(finding))
        return
    groups = group_findings(findings)
    for group in groups[:MOST_KINDS]:
        more = f" (and {len(group.rest)} more)" if group.rest else ""
        log.warning("%s%s", line(group.first, brief=True), more)
    if rest := groups[MOST_KINDS:]:
        kinds = ", ".join(f"{len(group.findings)} {group.first.kind}" for group in rest)
        log.warning("... and %s: report.html shows them, validate_only=true lists them", kinds)


def line(finding: Finding, brief: bool = False) -> str:
    """A finding on one line; `brief`: without the lists that its further lines hold."""
    where = f"{printable(finding.file)}: " if finding.file else ""
    head, *rest = finding.message.split("\n")
    message = "; ".join([head, *(["report.html lists them"] if brief and rest else rest)])
    return f"{finding.severity.value}: {where}{printable(message)} [{finding.kind}]"


def refusal(folder: object, errors: Sequence[Finding], can_skip: bool) -> str:
    """All errors in one message."""
    remedy = "; skip_bad=true leaves these out" if can_skip else ""
    listed = "\n  ".join(line(e) for e in sorted(errors, key=lambda e: e.file))
    return f"{folder}: {counted(len(errors), 'error')} found, nothing was written{remedy}\n  {listed}"


def announce_pack(plan: SetPlan, folder: Path) -> None:
    """Say what the pack is, and what of it the embedded base cannot draw."""
    log.info("%s: %s", folder, sentence_of(plan))
    if note := size_note(plan.sizes):
        log.info("%s", note)


def announce(sprites: Sequence[PreparedSprite], output: object) -> None:
    """Say how many images there are and how they were fitted."""
    if not sprites:
        return
    factors = Counter(s.fit.factors for s in sprites)
    canvases = Counter(s.canvas for s in sprites)
    log.info(
        "%s: %s, enlarged %s times; images of %s, background %s; %d with captions",
        output,
        counted(len(sprites), "sprite"),
        _counts({"x".join(map(str, f)) if f[0] != f[1] else str(f[0]): n for f, n in factors.items()}),
        _counts({f"{w}x{h}": n for (w, h), n in canvases.items()}),
        sprites[0].matte,
        sum(s.caption is not None for s in sprites),
    )


def announce_stretch(sprites: Sequence[PreparedSprite]) -> None:
    """Say what `pad=false` did: shapes changed, and where whole factors left a rest."""
    distorted = sum(s.fit.factors[0] != s.fit.factors[1] for s in sprites)
    rest = sum(any(n * f < c for n, f, c in zip(s.native_size, s.fit.factors, s.canvas, strict=True)) for s in sprites)
    log.info(
        "pad=false: %d of %d sprites stretched out of shape; whole factors do not fill the canvas of %d, "
        "whose rest is the matte",
        distorted,
        len(sprites),
        rest,
    )


def report_of(plan: SetPlan, folder: Path) -> str:
    """The set's page: its sprites, and what is said of the set."""
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for finding in plan.findings:
        by_file[finding.file].append(finding)
    in_order = [(p, piece) for p in plan.planned for piece in p.pieces]
    names = {id(piece): label(p.surveyed.source.name, p.surveyed.sprites[piece.number].tag) for p, piece in in_order}
    sprites: list[ReportSprite] = []
    for planned, piece in in_order:
        name, source = names[id(piece)], planned.surveyed.source.name
        scale = planned.surveyed.sprites[piece.number].scale
        facts = {"enlarged by": f"{scale.factor}, undone"} if scale.factor > 1 else {}
        found = [*by_file[name], *(by_file[source] if source != name else [])]
        (left, top), (right, bottom) = piece.corner, (a + b for a, b in zip(piece.corner, piece.size, strict=True))
        native = plan.natives[name][top:bottom, left:right]
        trained = Trained(piece.fit, plan.matte)
        sprites.append(ReportSprite(name, native, plan.captions[piece.stem].text, facts, found, trained))
    told = {*names.values()} | {planned.surveyed.source.name for planned, _ in in_order}
    rest = [f for f in plan.findings if f.file not in told]
    overview = overview_picture([plan.natives[names[id(piece)]] for _, piece in _spread(in_order, MOST_PICTURED)])
    pack = PackPart(sentence_of(plan), overview, [_left_out(kind, folder) for kind in plan.left_out])
    title, note = f"{folder.resolve().name}: data set", size_note(plan.sizes)
    return make_report(title, sprites, rest, pack, changes_of(plan), note)


def sentence_of(plan: SetPlan) -> str:
    """The set in a sentence."""
    captions = [plan.captions[piece.stem] for planned in plan.planned for piece in planned.pieces]
    is_named = any(finding.kind == "no_subject" for finding in plan.findings)
    num_nameless = sum(caption.text is None for caption in captions) if is_named else 0
    left_out = [(len(kind.names), kind.reason) for kind in plan.left_out]
    return pack_sentence(plan.sizes, left_out, num_nameless)


def _spread(cards: Sequence[tuple[PlannedFile, Piece]], number: int) -> list[tuple[PlannedFile, Piece]]:
    """So many of the sprites, from all of their files."""
    step = max(1, len(cards) // number)
    return [*cards[::step]][:number]


def _left_out(kind: LeftOut, folder: Path) -> LeftOutKind:
    """The images of a kind that were left out, with pictures; grids that are in doubt are laid over them."""
    doubts = {doubt.name: doubt for doubt in kind.doubts}
    shown: list[LeftOutImage] = []
    for name in kind.names[:MOST_LEFT_OUT]:
        doubt = doubts.get(name)
        text = doubt_text(doubt) if doubt else kind.remedy(name)
        try:
            pixels = read_sprite(folder / name.partition(":")[0], limits.SHEET_PIXELS)
            picture = left_out_picture(pixels, doubt.guesses[0] if doubt else None)
        except (DatasetError, OSError):
            picture = None
        shown.append(LeftOutImage(name, picture, text))
    return LeftOutKind(kind.reason, len(kind.names), shown)


def _counts(numbers: dict[str, int]) -> str:
    """`32` where there is one, else `32 (100), 16 (20)`, the most frequent first, five at most."""
    if len(numbers) == 1:
        return next(iter(numbers))
    ranked = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join([*(f"{name} ({n})" for name, n in ranked[:5]), *(["..."] if len(ranked) > 5 else [])])
