"""Findings on a set of sprites that no single sprite shows."""

from collections import Counter
from collections.abc import Mapping

from spritelora.shown import counted
from spritelora.sprites.checks.duplicates import find_duplicates
from spritelora.sprites.checks.style import measure_style
from spritelora.sprites.checks.style_outliers import find_outliers
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.native import NativeScale

FEW, VERY_FEW = 50, 20
SURE = 0.5
"""Confidence from which a detected scale counts."""


def lint_set(
    sprites: Mapping[str, Pixels],
    scales: Mapping[str, NativeScale] | None = None,
    animations: Mapping[str, str] | None = None,
) -> list[Finding]:
    """All findings about native RGBA sprites (h, w, 4) by name, the set's own first, then by file.

    Each sprite is read three times at most, so a mapping that reads files on demand keeps memory flat. `scales`: how
    their files were enlarged. `animations`: see `find_duplicates`.
    """
    styles = {name: style for name, pixels in sprites.items() if (style := measure_style(pixels)) is not None}
    findings = [
        *find_few(len(sprites)),
        *find_mixed_scales(scales or {}),
        *find_duplicates(sprites, animations),
        *find_outliers(styles),
    ]
    return sorted(findings, key=lambda finding: finding.file)


def find_few(num_sprites: int) -> list[Finding]:
    """A warning where a set is small, with what to expect of it."""
    if num_sprites >= FEW:
        return []
    expected = (
        "the LoRA will mostly repeat these very sprites"
        if num_sprites < VERY_FEW
        else "the style will be learnt, and things that are not in the set will look worse"
    )
    number = counted(num_sprites, "sprite")
    text = f"{number}, fewer than {FEW}: {expected}; add sprites, or keep the rank low and stop early"
    return [Finding("few_sprites", Severity.warning, "", text)]


def find_mixed_scales(scales: Mapping[str, NativeScale]) -> list[Finding]:
    """The files whose native pixels have another size than most files' have."""
    sure = {name: scale.factor for name, scale in scales.items() if scale.confidence >= SURE}
    counts = Counter(sure.values())
    if len(counts) < 2:
        return []
    usual, number = counts.most_common(1)[0]
    return [
        Finding(
            "mixed_scale",
            Severity.note,
            name,
            f"{_enlarged(factor)}, {number} of {len(sure)} files {_enlarged(usual)}; prepare undoes it: only check "
            f"that the figures are meant to be the same size",
        )
        for name, factor in sure.items()
        if factor != usual
    ]


def _enlarged(factor: int) -> str:
    return f"enlarged {factor} times" if factor > 1 else "not enlarged"
