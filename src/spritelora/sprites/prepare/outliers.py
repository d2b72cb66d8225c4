"""Surveyed sprites that are set aside, for they would shrink all others."""

import dataclasses
from collections.abc import Sequence, Set

from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.majority import aside_text, find_majority, sized_sprites
from spritelora.sprites.pixels.placement import canvas_shapes
from spritelora.sprites.prepare.intake import LeftOut
from spritelora.sprites.prepare.plan import FitOptions
from spritelora.sprites.prepare.survey import SurveyedFile, label


def set_aside(
    files: Sequence[SurveyedFile], options: FitOptions, included: Set[str]
) -> tuple[list[SurveyedFile], LeftOut | None, list[Finding]]:
    """The files without the sprites that are set aside, these, and a line about them.

    `included`: files that are taken whatever their size. Nothing is set aside where each sprite has its own factor, or
    one was typed.
    """
    if options.factor is not None or options.each or options.tile or not options.pad:
        return [*files], None, []
    sprites = [(label(f.source.name, s.tag), f.source.name, s.native_size) for f in files for s in f.sprites]
    kept = {name for name, file, _ in sprites if file in included}
    shapes = canvas_shapes(options.side_px, options.buckets)
    majority = find_majority(sized_sprites(sprites), shapes, kept)
    if not majority.aside:
        return [*files], None, []
    aside = set(majority.aside)
    first = next(file for name, file, _ in sprites if name in aside)
    remedy = f"'include=[{first}]' takes it; factor=each takes all, each as large as it can be"
    finding = Finding("set_aside", Severity.warning, "", aside_text(majority, remedy))
    rest = [
        dataclasses.replace(f, sprites=tuple(s for s in f.sprites if label(f.source.name, s.tag) not in aside))
        for f in files
    ]
    kept_files = [file for file, whole in zip(rest, files, strict=True) if file.sprites or not whole.sprites]
    return kept_files, LeftOut("set_aside", majority.aside), [finding]
