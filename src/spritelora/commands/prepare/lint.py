"""Everything there is to say about a set before it is written."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from spritelora.config.commands.prepare import PrepareConfig
from spritelora.program import typed
from spritelora.sprites.checks.caption_lint import MAX_TOKENS, lint_captions, told_once
from spritelora.sprites.checks.set_lint import lint_set
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.groups import animation_of
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.native import NativeScale
from spritelora.sprites.prepare.survey import NativeSprites, SurveyedFile, label
from spritelora.sprites.prepare.write_set import Caption


def lint(
    files: Sequence[SurveyedFile], natives: NativeSprites, captions: Mapping[str, Caption], config: PrepareConfig
) -> list[Finding]:
    """Findings of single images, of sprites beside one another and of captions; `captions`: by label of the sprite."""
    of_files = tell_once([finding for file in files for finding in file.findings], config.half_transparent)
    compared, left_out = natives.comparable()
    animations = _animations(files)
    of_set = lint_set(compared, _scales(files), animations)
    return [*of_files, *left_out, *of_set, *_lint_captions(captions, animations, config)]


def tell_once(findings: Sequence[Finding], half_transparent: str) -> list[Finding]:
    """The findings with one line for all half-transparent pixels, which half of all sets have on purpose."""
    half = [finding for finding in findings if finding.kind == "half_transparent"]
    if not half:
        return [*findings]
    done = {
        "blend": "half-transparent pixels (a soft shadow, a glow), which are mixed with the colour under the sprite",
        "threshold": "half-transparent pixels, made solid from half on, else clear",
        "drop": "half-transparent pixels, made clear",
    }
    others = " or ".join(f"half_transparent={word}" for word in done if word != half_transparent)
    number, first = len(half), printable(half[0].file)
    whose = f"{first} has" if number == 1 else f"{number:,} sprites, {first} is one, have"
    once = Finding("half_transparent", Severity.note, "", f"{whose} {done[half_transparent]}; else type {others}")
    return [once, *(finding for finding in findings if finding.kind != "half_transparent")]


def _animations(files: Sequence[SurveyedFile]) -> dict[str, str]:
    """The animation of each frame, by label of the sprite: as their names tell, else the file that several are in."""
    return {
        label(f.source.name, s.tag): animation
        for f in files
        if (animation := animation_of(f.source.name) or (f.source.name if len(f.sprites) > 1 else ""))
        for s in f.sprites
    }


def _scales(files: Sequence[SurveyedFile]) -> dict[str, NativeScale]:
    return {label(f.source.name, s.tag): s.scale for f in files for s in f.sprites if not s.prepared}


def _lint_captions(
    captions: Mapping[str, Caption], animations: Mapping[str, str], config: PrepareConfig
) -> list[Finding]:
    texts = {name: caption.text for name, caption in captions.items()}
    missing = [name for name, text in texts.items() if text is None]
    findings = lint_captions(
        told_once({name: text for name, text in texts.items() if text is not None}, animations),
        _count_tokens,
        lambda caption: _counter().cut(caption),
        tokenizer="the embedded base's tokenizer (it splits rare words more than SDXL's)",
        style_words=[config.trigger] if config.trigger else [],
    )
    if missing and not config.create_captions:
        text = (
            f"{len(missing)} of {len(texts)} sprites have no caption, {printable(missing[0])} is one; create_captions="
            f"true makes them from names, {typed('caption')} by a model or by hand; training needs one for each"
        )
        findings.append(Finding("missing_captions", Severity.warning, "", text))
    return findings


def _count_tokens(caption: str) -> int:
    """Tokens with the marks of begin and end; the tokenizer, slow to import, is asked where it can matter."""
    most = len(caption.encode()) + 2  # no token is shorter than a byte
    return most if most <= MAX_TOKENS else _counter().count(caption)


@lru_cache(maxsize=1)
def _counter():
    from spritelora.captioning.tokens import TokenCounter
    from spritelora.embedded.location import embedded_base

    return TokenCounter(embedded_base(), "embedded")
