"""Findings on captions, each alone and all together."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from spritelora.sprites.captions.made_captions import split_phrases
from spritelora.sprites.checks.caption_terms import VARIANTS, find_variant_terms
from spritelora.sprites.findings import Finding, Severity

MIN_CHARACTERS = 20
MAX_CHARACTERS = 200
MAX_TOKENS = 77
MAX_WORDS_WITHOUT_COMMA = 25

STYLE = re.compile(r"\bpixel|\bsprite|\b\d+[- ]?bit\b|\bretro\b|\bgame[- ]?boy\b|\bs?nes\b|\bdither", re.IGNORECASE)
TRANSPARENCY = re.compile(
    r"\btransparen(t\W+(png|bg|back(ground|drop)|image)|cy)\b|(^|,)\s*transparent\s*(,|$)|\balpha\W+(channel|background)\b"
    r"|\b(no|without|removed)\W+(a\W+)?background\b|\bbackground\W+removed\b|\bchecker(ed|board)\W+background\b",
    re.IGNORECASE,
)
SIDES = re.compile(r"\b(left|right)(wards?|most|-?hand(ed)?|-?facing)?\b", re.IGNORECASE)
GENERIC = """a an and for in of on s the with x
art artwork asset assets background bit character design digital drawing game gaming graphic graphics icon illustration
image inventory item object photo picture pixel pixelart pixelated pixels png quality retro rpg small sprite sprites
style styled texture thing tile tileset transparent video white"""
GENERIC_WORDS = frozenset(GENERIC.split())
"""A caption of these words alone says nothing of its sprite."""

Measure = Callable[[str], int]
Cut = Callable[[str], str]


def lint_captions(
    captions: Mapping[str, str | None],
    count_tokens: Measure,
    cut: Cut,
    *,
    flips: bool = False,
    matte: bool = True,
    tokenizer: str = "the model's tokenizer",
    style_words: Sequence[str] = (),
    variants: Sequence[Sequence[str]] = VARIANTS,
) -> list[Finding]:
    """All findings about a set's captions, in the order of its files.

    `captions`: by file, None where there is none. `count_tokens`: with the marks of begin and end. `cut`: the end of a
    caption that does not fit. `flips`: sprites will be mirrored. `matte`: sprites will be laid on one. `tokenizer`: the
    name of what counts. `style_words`: phrases, such as the trigger, that count as style too. `variants`: groups of
    terms with one meaning.
    """
    findings: list[Finding] = []
    written: dict[str, str] = {}
    for file, caption in captions.items():
        if caption is None:
            message = "no caption; write a line that says what it shows, or let mode=caption do it"
            findings.append(Finding("missing_caption", Severity.error, file, message))
        elif not split_phrases(caption):
            message = "the caption is empty; write what the sprite shows, such as: pixel art, red potion"
            findings.append(Finding("empty_caption", Severity.error, file, message))
        else:
            written[file] = caption
            found = [*_lint_words(caption, flips, matte, style_words), *_lint_length(caption)]
            found += _lint_tokens(caption, count_tokens, cut, tokenizer)
            findings += [Finding(kind, Severity.warning, file, message) for kind, message in found]
    findings += [*_find_duplicates(written), *find_variant_terms(written, variants)]
    place = {file: number for number, file in enumerate(captions)}
    return sorted(findings, key=lambda finding: place[finding.file])


def told_once(captions: Mapping[str, str | None], animations: Mapping[str, str]) -> dict[str, str | None]:
    """The captions without those that an earlier frame of the same animation has. `animations`: by file."""
    first: dict[tuple[str, str | None], str] = {}
    for file, caption in captions.items():
        first.setdefault((file if caption is None else animations.get(file) or file, caption), file)
    return {file: caption for (_, caption), file in first.items()}


def longest_run(caption: str) -> int:
    """The largest number of words without a comma between them."""
    return max((len(phrase.split()) for phrase in re.split(r",|[;.]\s", caption)), default=0)


def _lint_length(caption: str) -> Iterator[tuple[str, str]]:
    if len(caption) < MIN_CHARACTERS:
        yield "short_caption", f"{len(caption)} characters, under {MIN_CHARACTERS}: add what tells it from the others"
    if len(caption) > MAX_CHARACTERS:
        yield "long_caption", f"{len(caption)} characters, over {MAX_CHARACTERS}: keep subject, style, main features"
    if (run := longest_run(caption)) > MAX_WORDS_WITHOUT_COMMA:
        yield (
            "over_detailed",
            f"{run} words without a comma, over {MAX_WORDS_WITHOUT_COMMA}: a sentence of details teaches none of them; "
            f"keep the main ones, as short phrases with commas between",
        )


def _lint_tokens(caption: str, count_tokens: Measure, cut: Cut, tokenizer: str) -> Iterator[tuple[str, str]]:
    if (count := count_tokens(caption)) > MAX_TOKENS:
        yield (
            "cut_caption",
            f"{count} tokens of {MAX_TOKENS}, counted by {tokenizer}; this end would be cut off: '{cut(caption)}'",
        )


def _lint_words(caption: str, flips: bool, matte: bool, style_words: Sequence[str]) -> Iterator[tuple[str, str]]:
    if GENERIC_WORDS.issuperset(re.findall(r"[^\W\d_]+", caption.lower())):
        yield "generic_caption", f"'{caption}' fits any sprite: name what this one shows"
    if not STYLE.search(caption) and not any(word.casefold() in caption.casefold() for word in style_words if word):
        yield "no_style", "names no style: add the words that you will type for it in prompts, such as: pixel art"
    if matte and (match := TRANSPARENCY.search(caption)):
        said = match[0].strip(" ,")
        yield "transparency", f"says '{said}', but training lays sprites on a plain colour: take it out"
    if flips and (match := SIDES.search(caption)):
        yield (
            "sided_words",
            f"says '{match[0]}', and flips are on: in the caption of a mirrored sprite left and right are swapped; see "
            f"that this stays true, or turn flips off",
        )


def _find_duplicates(captions: Mapping[str, str]) -> list[Finding]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for file, caption in captions.items():
        groups[", ".join(split_phrases(caption)).casefold()].append(file)
    return [
        Finding("duplicate_caption", Severity.warning, file, f"the same caption as {_others(file, files)}")
        for files in groups.values()
        if len(files) > 1
        for file in files
    ]


def _others(file: str, files: list[str]) -> str:
    first = next(other for other in files if other != file)
    more = f" and {len(files) - 2} more" if len(files) > 2 else ""
    return f"{first}{more}: say what tells them apart"
