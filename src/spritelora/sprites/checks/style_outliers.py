"""Sprites of another style than their set's, and sets that are really two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.sprites.checks.style import MEASURES, StyleFacts
from spritelora.sprites.findings import Finding, Severity

Vectors = NDArray[np.float64]
Group = NDArray[np.bool_]

SMALLEST_JUDGED = 12
SMALLEST_HALF = 8
SMALLEST_SHARE = 0.15
SAMPLE = 1000
"""Sets larger than this are divided by an even sample of this size."""

STRANGE = 2.8
"""Root mean square of a sprite's measures from the set's median, in the set's own spread, from which it stands out.

Of sprites drawn by this package in one style about one in 800 reaches it, of a game's monsters three ghosts without an
outline; a sprite of another set mostly has 2.8 to 5.
"""

COMMON_PALETTE, FOREIGN_PALETTE = 0.3, 0.1
"""Where a sprite shares this much colour with the others of its set, one that shares a tenth of that is foreign."""

APART, SHARPLY, PRODUCT = 3.8, 6.0, 27.0
"""Two styles: distance of their middles in units of plain difference, the same in spreads of the two (Ashman's D),
and both multiplied. Single styles reach a product of 25; pairs that can be told apart begin at 28.
"""

OWN_PALETTE, SHARED_PALETTE = 0.3, 6.0
ONE_PALETTE, ONE_SHARE = 0.8, 0.3
"""Two palettes: colours shared within both, or within one that has this share of the set, and how many times more
than between them. A group of one hue in a set of many shares as much, but is smaller.
"""


@dataclass(frozen=True)
class Halves:
    """Two styles in one set. `smaller`: the members of the smaller one, (n,). `by_palette`: they differ by colours."""

    smaller: Group
    by_palette: bool


def find_outliers(styles: Mapping[str, StyleFacts]) -> list[Finding]:
    """The sprites that stand out by palette, size or manner of painting; of two styles, each is judged by its own."""
    names, measures, colours = _as_arrays(styles)
    if len(names) < SMALLEST_JUDGED:
        return []
    halves = divide(measures, colours)
    groups = [np.ones(len(names), np.bool_)] if halves is None else [~halves.smaller, halves.smaller]
    findings: list[Finding] = []
    for group in groups:
        places = np.flatnonzero(group)
        if len(places) >= SMALLEST_JUDGED:
            findings += _strangers([names[i] for i in places], measures[places], colours[places])
    if halves is not None:
        findings.append(_proposal(names, measures, halves))
    return findings


def divide(measures: Vectors, colours: Vectors) -> Halves | None:
    """The two styles of a set, None where it is one.

    `measures`: (n, 9). `colours`: (n, cells), of length 1 each.
    """
    places = np.unique(np.linspace(0, len(measures) - 1, min(SAMPLE, len(measures))).round().astype(np.int64))
    for vectors, by_palette in ((measures, False), (colours, True)):
        sample = vectors[places]
        for start in _directions(sample):
            group = _two_means(sample, start)
            group = group if by_palette else _sharpen(sample, group)
            are_apart = _are_two_palettes if by_palette else _are_two_manners
            if _is_half(group) and are_apart(sample, group):
                all_members = group if len(sample) == len(vectors) else _nearest(vectors, sample, group)
                return Halves(all_members if all_members.mean() <= 0.5 else ~all_members, by_palette)
    return None


def _as_arrays(styles: Mapping[str, StyleFacts]) -> tuple[list[str], Vectors, Vectors]:
    names = list(styles)
    if not names:
        return [], np.zeros((0, len(MEASURES))), np.zeros((0, 0))
    known = np.unique(np.concatenate([s.cells for s in styles.values()]))
    colours = np.zeros((len(names), len(known)))
    for row, style in zip(colours, styles.values(), strict=True):
        row[np.searchsorted(known, style.cells)] = np.sqrt(style.shares)
    return names, np.stack([s.measures for s in styles.values()]), colours


def _strangers(names: Sequence[str], measures: Vectors, colours: Vectors) -> list[Finding]:
    middle = np.median(measures, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(measures - middle), axis=0), 0.6)
    strangeness = (measures - middle) / spread
    shared = (colours @ colours.sum(axis=0) - 1) / (len(names) - 1)
    usual = float(np.median(shared))
    findings: list[Finding] = []
    for name, strange, share in zip(names, strangeness, shared.tolist(), strict=True):
        size = float(np.sqrt((strange**2).mean()))
        if abs(strange[-1]) * spread[-1] >= 3 and abs(strange[-1]) >= 4:
            text = f"far {'larger' if strange[-1] > 0 else 'smaller'} than the set; keep sizes apart, or caption them"
            findings.append(Finding("size_outlier", Severity.warning, name, text))
        elif size >= STRANGE:
            text = f"looks different from the rest: {_difference(strange)}; remove it, or caption what is different"
            findings.append(Finding("style_outlier", Severity.warning, name, text))
        elif usual >= COMMON_PALETTE and share < FOREIGN_PALETTE * usual:
            text = "its colours are hardly any of the set's; bring it to the set's palette, or remove it"
            findings.append(Finding("palette_outlier", Severity.warning, name, text))
    return findings


def _difference(strange: Vectors) -> str:
    """The largest differences, in words."""
    most = np.argsort(-np.abs(strange))[:2]
    return ", ".join(f"{'higher' if strange[i] > 0 else 'lower'} {list(MEASURES)[i]}" for i in most)


def _proposal(names: Sequence[str], measures: Vectors, halves: Halves) -> Finding:
    smaller = halves.smaller
    gap: Vectors = measures[smaller].mean(axis=0) - measures[~smaller].mean(axis=0)
    first, second = ([n for n, own in zip(names, part, strict=True) if own] for part in (~smaller, smaller))
    kind = "palettes that share hardly a colour" if halves.by_palette else f"styles ({_difference(gap)} in the second)"
    text = (
        f"two {kind}: a LoRA would learn the middle of both; train two sets\n"
        f"first set, {len(first)} files: {', '.join(first)}\nsecond set, {len(second)} files: {', '.join(second)}"
    )
    return Finding("two_styles", Severity.warning, "", text)


def _directions(vectors: Vectors) -> Vectors:
    """Where to look for two groups: along the four widest directions."""
    centred = vectors - vectors.mean(axis=0)
    directions: Vectors = np.linalg.svd(centred, full_matrices=False)[2]
    return directions[:4]


def _two_means(vectors: Vectors, start: Vectors) -> Group:
    group: Group = (vectors - vectors.mean(axis=0)) @ start > 0
    for _ in range(30):
        again = _nearest(vectors, vectors, group) if _is_half(group) else group
        if np.array_equal(again, group):
            break
        group = again
    return group


def _nearest(vectors: Vectors, sample: Vectors, group: Group) -> Group:
    first, second = sample[~group].mean(axis=0), sample[group].mean(axis=0)
    return vectors @ (second - first) > (second + first) @ (second - first) / 2


def _sharpen(measures: Vectors, group: Group) -> Group:
    """Move the border to where the two groups differ most against their own spread (Fisher's discriminant)."""
    for _ in range(30):
        if not _is_half(group):
            break
        along = measures @ _discriminant(measures, group)
        again = along > (along[group].mean() + along[~group].mean()) / 2
        if np.array_equal(again, group):
            break
        group = again
    return group


def _discriminant(measures: Vectors, group: Group) -> Vectors:
    share = float(group.mean())
    within = np.cov(measures[group].T) * share + np.cov(measures[~group].T) * (1 - share)
    gap: Vectors = measures[group].mean(axis=0) - measures[~group].mean(axis=0)
    return np.linalg.solve(within + 0.25 * np.eye(measures.shape[1]), gap).astype(np.float64)


def _is_half(group: Group) -> bool:
    return min(group.sum(), (~group).sum()) >= max(SMALLEST_HALF, SMALLEST_SHARE * len(group))


def _are_two_manners(measures: Vectors, group: Group) -> bool:
    distance = float(np.linalg.norm(measures[group].mean(axis=0) - measures[~group].mean(axis=0)))
    along = measures @ _discriminant(measures, group)
    spread = float(np.sqrt(along[group].var() + along[~group].var()))
    sharpness = float(np.sqrt(2) * abs(along[group].mean() - along[~group].mean())) / max(spread, 1e-9)
    return distance >= APART and sharpness >= SHARPLY and distance * sharpness >= PRODUCT


def _are_two_palettes(colours: Vectors, group: Group) -> bool:
    sums = colours[group].sum(axis=0), colours[~group].sum(axis=0)
    counts = int(group.sum()), int((~group).sum())
    within = [(float(s @ s) - n) / (n * (n - 1)) for s, n in zip(sums, counts, strict=True)]
    between = float(sums[0] @ sums[1]) / (counts[0] * counts[1])
    closest = within.index(max(within))
    is_one = within[closest] >= ONE_PALETTE and counts[closest] >= ONE_SHARE * len(group)
    return (min(within) >= OWN_PALETTE or is_one) and min(within) >= SHARED_PALETTE * between
