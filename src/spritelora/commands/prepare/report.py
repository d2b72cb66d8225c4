"""The report of `prepare`: findings by file, and the result."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from spritelora.commands.prepare.write import SetPlan
from spritelora.reports.set_report import MAX_CARDS, ReportSprite, make_report
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.manifest import PreparedSprite
from spritelora.sprites.names import printable
from spritelora.sprites.prepare.survey import label

log = logging.getLogger(__name__)

MOST_OF_A_KIND = 3


def report(findings: Sequence[Finding], brief: bool) -> None:
    """Say what was found by file, the worst first within one; `brief`: at most three times each kind."""
    order = list(Severity)
    said: Counter[str] = Counter()
    for finding in sorted(findings, key=lambda f: (f.file, order.index(f.severity))):
        said[finding.kind] += 1
        if not brief or said[finding.kind] <= MOST_OF_A_KIND:
            log.warning("%s", line(finding))
    for kind, count in said.items():
        if brief and count > MOST_OF_A_KIND:
            log.warning("... and %d more [%s]: validate_only=true lists all", count - MOST_OF_A_KIND, kind)


def line(finding: Finding) -> str:
    where = f"{printable(finding.file)}: " if finding.file else ""
    return f"{finding.severity.value}: {where}{printable(finding.message)} [{finding.kind}]"


def refusal(folder: object, errors: Sequence[Finding], can_skip: bool) -> str:
    """All errors in one message."""
    remedy = "; skip_bad=true leaves these out" if can_skip else ""
    listed = "\n  ".join(line(e) for e in sorted(errors, key=lambda e: e.file))
    return f"{folder}: {len(errors)} error(s) found, nothing was written{remedy}\n  {listed}"


def announce(sprites: Sequence[PreparedSprite], output: object) -> None:
    """Say how many images there are and how they were fitted."""
    if not sprites:
        return
    factors = Counter(s.fit.factors for s in sprites)
    canvases = Counter(s.canvas for s in sprites)
    log.info(
        "%s: %d sprites, factor %s, canvas %s, matte %s, %d with captions",
        output,
        len(sprites),
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
    """The set's page: sprites with findings first, as many as it shows, and what is said of the set."""
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for finding in plan.findings:
        by_file[finding.file].append(finding)
    shown: list[tuple[str, ReportSprite]] = []
    cards = [(p, piece) for p in plan.planned for piece in p.pieces]
    names = {id(piece): label(p.surveyed.source.name, p.surveyed.sprites[piece.number].tag) for p, piece in cards}
    cards.sort(key=lambda card: not by_file.keys() & {names[id(card[1])], card[0].surveyed.source.name})
    for planned, piece in cards[:MAX_CARDS]:
        name, source = names[id(piece)], planned.surveyed.source.name
        scale = planned.surveyed.sprites[piece.number].scale
        facts = {"Enlarged by": f"{scale.factor} (confidence {scale.confidence:.2f})"} if scale.factor > 1 else {}
        found = [*by_file[name], *(by_file[source] if source != name else [])]
        shown.append((name, ReportSprite(name, plan.natives[name], plan.captions[piece.stem].text, facts, found)))
    told = {name for name, _ in shown} | {planned.surveyed.source.name for planned, _ in cards[:MAX_CARDS]}
    rest = [f for f in plan.findings if f.file not in told]
    summary = {"Sprites prepared": f"{len(cards):,}"} if len(cards) > len(shown) else {}
    return make_report(f"{folder.resolve().name}: data set", [sprite for _, sprite in shown], rest, summary)


def _counts(numbers: dict[str, int]) -> str:
    """`32` where there is one, else `32 (100), 16 (20)`, the most frequent first, five at most."""
    if len(numbers) == 1:
        return next(iter(numbers))
    ranked = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join([*(f"{name} ({n})" for name, n in ranked[:5]), *(["..."] if len(ranked) > 5 else [])])
