"""The sprites that `prepare` changes beyond their place and size, for the report."""

import dataclasses
from collections.abc import Iterator

from spritelora.commands.prepare.write import SetPlan
from spritelora.reports.before_after import Change, show_change
from spritelora.sprites.backgrounds.treatment import HalfTransparent, Treatment
from spritelora.sprites.pixels.image import apply_matte, hex_colour
from spritelora.sprites.prepare.survey import SurveyedFile, SurveyedSprite, label, read_natives

MOST_OF_A_KIND = 12


def changes_of(plan: SetPlan) -> list[Change]:
    """Sprites that lose their background, then some with half-transparent pixels, as many of each as a page bears."""
    cut: list[Change] = []
    half: list[Change] = []
    for file, sprite in _sprites(plan):
        ground, name = sprite.treatment.ground, label(file.source.name, sprite.tag)
        if ground is not None and len(cut) < MOST_OF_A_KIND:
            holes = ", and where the figure encloses it" if ground.holes else ""
            cut.append(_change(plan, file, sprite, f"background {hex_colour(ground.colour)} cut out{holes}"))
        is_half = any(f.kind == "half_transparent" and f.file == name for f in file.findings)
        if is_half and len(half) < MOST_OF_A_KIND:
            how = sprite.treatment.half_transparent
            half.append(_change(plan, file, sprite, f"half-transparent pixels, by half_transparent={how.value}"))
    return [*cut, *half]


def _sprites(plan: SetPlan) -> Iterator[tuple[SurveyedFile, SurveyedSprite]]:
    for planned in plan.planned:
        for number in sorted({piece.number for piece in planned.pieces}):
            yield planned.surveyed, planned.surveyed.sprites[number]


def _change(plan: SetPlan, file: SurveyedFile, sprite: SurveyedSprite, what: str) -> Change:
    name = label(file.source.name, sprite.tag)
    plain = dataclasses.replace(sprite, treatment=Treatment())
    before, after = next(read_natives(file.source, plan.reading, [plain])).pixels, plan.natives[name]
    is_mixed = sprite.treatment == Treatment(half_transparent=HalfTransparent.blend)
    return show_change(name, before, apply_matte(after, plan.matte) if is_mixed else after, what)
