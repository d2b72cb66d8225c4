"""Sprites that teach the same twice: equal, moved, mirrored, recoloured, or different by a few pixels."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from spritelora.sprites.checks.fingerprint import Codes, Content, Fingerprint, content_of, fingerprint, flips
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.pixels.image import Pixels

NEAR_SHARE = 0.04
"""The share of a sprite's drawn pixels that may differ in a near duplicate."""

SHARED_HASHES = 3
"""Of the 16 numbers of two sketches, how many must be alike before pixels are compared.

Two sprites with 4 % of the pixels changed share about 0.6 of their runs, and miss this about once in 10,000 times.
"""

LATEST = 12
"""Sprites remembered for each sketch number; a number that all sprites of a set share tells nothing."""


@dataclass
class Known:
    """The sprites seen so far, by what would make another one a duplicate. `animations`: see `find_duplicates`."""

    animations: Mapping[str, str]
    swapped: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    exact: dict[bytes, str] = field(default_factory=dict[bytes, str])
    content: dict[bytes, str] = field(default_factory=dict[bytes, str])
    mirrored: dict[bytes, str] = field(default_factory=dict[bytes, str])
    structure: dict[bytes, str] = field(default_factory=dict[bytes, str])
    prints: dict[str, Fingerprint] = field(default_factory=dict[str, Fingerprint])
    sketches: dict[tuple[int, int], deque[str]] = field(
        default_factory=lambda: defaultdict[tuple[int, int], deque[str]](lambda: deque(maxlen=LATEST))
    )

    def other(self, seen: Mapping[bytes, str], key: bytes | None, name: str) -> str | None:
        """The sprite seen with a key, where it is no frame of the same animation."""
        other = seen.get(key) if key is not None else None
        return None if other is None or self.are_frames(other, name) else other

    def is_first_swap(self, name: str, other: str) -> bool:
        """Whether no frame of the same animation was one of the other's in other colours before."""
        pair = self.animations.get(name, name), self.animations.get(other, other)
        is_first = pair not in self.swapped
        self.swapped.add(pair)
        return is_first

    def are_frames(self, first: str, second: str) -> bool:
        """Whether two sprites are frames of one animation."""
        return first in self.animations and self.animations[first] == self.animations.get(second)


def find_duplicates(sprites: Mapping[str, Pixels], animations: Mapping[str, str] | None = None) -> list[Finding]:
    """A finding for each native RGBA sprite (h, w, 4) that repeats an earlier one, in the closest sense that holds.

    `sprites`: by name; each is read once, and again only where it is compared, so a mapping that reads files on
    demand keeps memory flat. `animations`: what those that are frames of something belong to, by name: frames that
    repeat one another are as they should be.
    """
    known = Known(animations or {})
    findings: list[Finding] = []
    for name, pixels in sprites.items():
        prints = fingerprint(pixels)
        finding = _repetition(name, prints, known) or _near(name, pixels, prints, known, sprites)
        if finding:
            findings.append(finding)
        if finding is None or finding.kind in ("palette_swap", "near_duplicate"):
            _remember(name, prints, known)
    return findings


def num_different(first: Content, second: Content) -> int:
    """The number of pixels that differ between two sprites laid over one another, for the best flip and corner."""
    counts = (
        _differing(first.codes, flip, offset, (first.background, second.background))
        for flip in flips(second.codes)
        for offset in _offsets(first.codes, flip)
    )
    return min(counts)


def _repetition(name: str, prints: Fingerprint, known: Known) -> Finding | None:
    if other := known.other(known.exact, prints.exact, name):
        text = f"the same native pixels as {other}; remove one, or it counts double"
        return Finding("duplicate", Severity.warning, name, text)
    if other := known.other(known.content, prints.content, name):
        text = f"the same sprite as {other}, moved or with another border; remove one, or it counts double"
        return Finding("shifted_duplicate", Severity.warning, name, text)
    if other := known.other(known.mirrored, prints.mirrored, name):
        text = f"a mirrored copy of {other}; remove one, or say in both captions which way they face"
        return Finding("mirrored_duplicate", Severity.warning, name, text)
    if (other := known.other(known.structure, prints.structure, name)) and known.is_first_swap(name, other):
        text = f"{other} in other colours; good variety if the captions name the colours, else remove one"
        return Finding("palette_swap", Severity.note, name, text)
    return None


def _near(
    name: str, pixels: Pixels, prints: Fingerprint, known: Known, sprites: Mapping[str, Pixels]
) -> Finding | None:
    content = None
    for other in _candidates(prints, known):
        if known.are_frames(other, name):
            continue
        content = content or content_of(pixels)
        different = num_different(content_of(sprites[other]), content)
        if different <= _most_different(prints, known.prints[other]):
            text = (
                f"{other} but for {different} pixel{'s' * (different != 1)}; keep one, or tell them apart in captions"
            )
            return Finding("near_duplicate", Severity.warning, name, text)
    return None


def _candidates(prints: Fingerprint, known: Known) -> Iterator[str]:
    """Earlier sprites whose rows and colours are mostly these, the most alike first."""
    if not prints.num_drawn:
        return
    shared = Counter(other for place in enumerate(prints.sketch.tolist()) for other in known.sketches.get(place, ()))
    for other, count in shared.most_common():
        if count < SHARED_HASHES:
            return
        theirs = known.prints[other]
        unlike = np.abs(prints.bins.astype(np.int32) - theirs.bins).sum()
        if unlike <= 2 * _most_different(prints, theirs):
            yield other


def _most_different(first: Fingerprint, second: Fingerprint) -> int:
    return math.ceil(NEAR_SHARE * min(first.num_drawn, second.num_drawn))


def _remember(name: str, prints: Fingerprint, known: Known) -> None:
    known.exact.setdefault(prints.exact, name)
    known.content.setdefault(prints.content, name)
    known.mirrored.setdefault(prints.mirrored, name)
    if prints.structure:
        known.structure.setdefault(prints.structure, name)
    known.prints[name] = prints
    for place in enumerate(prints.sketch.tolist()):
        known.sketches[place].append(name)


def _offsets(first: Codes, second: Codes) -> set[tuple[int, int]]:
    """Rows and columns by which the second is moved so that one of its corners lies on the first's."""
    free = [a - b for a, b in zip(first.shape, second.shape, strict=True)]
    return set(product((0, free[0]), (0, free[1])))


def _differing(first: Codes, second: Codes, offset: tuple[int, int], backgrounds: tuple[int | None, int | None]) -> int:
    """Pixels that differ where the second lies over the first; what stands out counts unless it is background."""
    spans = [_overlap(a, b, shift) for a, b, shift in zip(first.shape, second.shape, offset, strict=True)]
    (rows, other_rows), (columns, other_columns) = spans
    ours, theirs = first[rows, columns], second[other_rows, other_columns]
    is_empty = (ours == backgrounds[0]) & (theirs == backgrounds[1])
    outside = _num_drawn(first, backgrounds[0]) - _num_drawn(ours, backgrounds[0])
    outside += _num_drawn(second, backgrounds[1]) - _num_drawn(theirs, backgrounds[1])
    return int(((ours != theirs) & ~is_empty).sum()) + outside


def _overlap(length: int, other: int, shift: int) -> tuple[slice, slice]:
    start, stop = max(0, shift), min(length, other + shift)
    return slice(start, stop), slice(start - shift, stop - shift)


def _num_drawn(codes: Codes, background: int | None) -> int:
    return codes.size if background is None else int((codes != background).sum())
