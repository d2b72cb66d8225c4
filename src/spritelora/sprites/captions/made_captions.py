"""Captions made of words: from file and folder names, and joined with trigger, prefix and suffix."""

import hashlib
import re
import string
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from spritelora.errors import ConfigError, DatasetError
from spritelora.sprites.split import choose_subset

DEFAULT_TEMPLATE = "pixel art, {name}, {words}"

TEMPLATE_FIELDS = {
    "name": "words of the file name",
    "folder": "words of the folder that holds the file",
    "folders": "words of all its folders, outermost first, commas between",
    "words": "what else is known of the sprite, such as the tag of an animation, commas between",
}
"""The words that a template may have in braces, with their meaning."""

FEW_PHRASES = 5
"""Up to here all orders of phrases are listed, at most 120."""

WORD_BREAK = re.compile(r"(?<=[a-z0-9ß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|[\W_]+")
END_NUMBER = re.compile(r"\d+(x\d*)?$|^x\d+$|^v\d+$", re.IGNORECASE)


def words_of_name(name: str) -> str:
    """The words of one file or folder name: `FireMage_02` is `fire mage`.

    snake_case, kebab-case and camelCase are taken apart; numbers, sizes and versions at the end (`02`, `32x32`, `@2x`,
    `v3`) are dropped, so the frames of an animation get one name. Empty where nothing else is left.
    """
    words = [word.lower() for word in WORD_BREAK.split(name) if word]
    while words and (rest := END_NUMBER.sub("", words[-1])) != words[-1]:
        words[-1:] = [rest] if rest else []
    return " ".join(words)


def caption_from_name(
    name: str,
    template: str = DEFAULT_TEMPLATE,
    trigger: str = "",
    prefix: str = "",
    suffix: str = "",
    words: Sequence[str] = (),
) -> str:
    """A caption out of what a sprite's file is called: `characters/fire_mage_02.png` is `pixel art, fire mage`.

    `name`: path below the set's folder, with `/`. `template`: see `TEMPLATE_FIELDS`; what is empty leaves no comma.
    `words`: for the field of that name. Raises ConfigError for a template with other fields, DatasetError where the
    fields come out empty, for then the caption would say nothing of the sprite.
    """
    *folders, file = name.split("/")
    told = [words_of_name(folder) for folder in folders]
    values = {
        "name": words_of_name(re.sub(r"\.\w+$", "", file)),
        "folder": told[-1] if told else "",
        "folders": ", ".join(filter(None, told)),
        "words": ", ".join(filter(None, (words_of_name(word) for word in words))),
    }
    used = _fields_of(template)
    if used and not any(values[field] for field in used):
        raise DatasetError(
            f"{name}: the name holds no word for its caption (template '{template}'); rename the file after what it "
            f"shows, or use the folder's name: {{folder}}"
        )
    return join_caption(template.format(**values), trigger, prefix, suffix)


def join_caption(body: str, trigger: str = "", prefix: str = "", suffix: str = "") -> str:
    """Trigger, prefix, body and suffix in this order with commas between; a phrase that is there is not added twice.

    A prefix that ends with a space but no comma (`pixel art of a `) goes before the body without a comma. Joining
    twice changes nothing.
    """
    phrases = split_phrases(body)
    before = split_phrases(prefix)
    opening = before.pop() if before and re.search(r"[^\s,]\s+$", prefix) else ""
    if opening and not any(f"{phrase} ".casefold().startswith(f"{opening} ".casefold()) for phrase in phrases):
        phrases[:1] = [" ".join([opening, *phrases[:1]])]
    phrases = [*missing_phrases(before, phrases), *phrases]
    phrases = [*phrases, *missing_phrases(split_phrases(suffix), phrases)]
    named = [t for t in split_phrases(trigger) if not _says(", ".join(phrases), t)]
    return ", ".join([*named, *phrases])


def split_phrases(text: str) -> list[str]:
    """The parts of a caption between its commas, without empty ones and with single spaces."""
    return [" ".join(part.split()) for part in text.split(",") if part.strip()]


def tag_orders(caption: str, num_kept: int, most: int) -> list[str]:
    """The caption as written, then with its phrases in other orders: at most `most` distinct captions in all.

    The first `num_kept` phrases keep their places. Which orders are taken depends on the caption alone, so that runs
    share them in the cache.
    """
    phrases = split_phrases(caption)
    kept, moved = phrases[:num_kept], phrases[num_kept:]
    seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:8], "little")
    if len(moved) <= FEW_PHRASES:
        orders = [", ".join([*kept, *order]) for order in permutations(moved)]
        others = [o for o in dict.fromkeys(orders) if o != ", ".join(phrases)]
        return [caption, *choose_subset(others, most - 1, seed)]
    rng = np.random.default_rng(seed)
    shuffles: list[list[int]] = [rng.permutation(len(moved)).tolist() for _ in range(8 * most)]
    drawn = [", ".join([*kept, *(moved[i] for i in shuffle)]) for shuffle in shuffles]
    return [caption, *[o for o in dict.fromkeys(drawn) if o != ", ".join(phrases)][: most - 1]]


def missing_phrases(phrases: list[str], present: list[str]) -> list[str]:
    """Those of `phrases` that are not present, in their order, each once; upper case does not count."""
    seen = {phrase.casefold() for phrase in present}
    return [phrase for phrase in dict.fromkeys(phrases) if phrase.casefold() not in seen]


def _says(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def _fields_of(template: str) -> set[str]:
    problem = f"caption template '{template}': in braces stand only {', '.join(TEMPLATE_FIELDS)}"
    try:
        parts = [(field, spec, turn) for _, field, spec, turn in string.Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(f"{problem} ({error})") from error
    fields = {field for field, _, _ in parts if field is not None}
    if fields - set(TEMPLATE_FIELDS) or any(spec or turn for _, spec, turn in parts):
        raise ConfigError(problem)
    return fields
