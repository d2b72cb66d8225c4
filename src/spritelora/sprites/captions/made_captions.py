"""Captions made of words: from file and folder names, and joined with trigger, prefix and suffix."""

import hashlib
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from spritelora.errors import ConfigError
from spritelora.sprites.captions.name_parts import NameParts, parts_of_names, parts_of_words
from spritelora.sprites.captions.name_words import words_of_name
from spritelora.sprites.split import choose_subset

DEFAULT_TEMPLATE = "pixel art, {name}, {words}"

TEMPLATE_FIELDS = {
    "name": "words for the subject, from the file name or else the folder's",
    "folder": "words of the folder that holds the file",
    "folders": "words of all its folders, outermost first, commas between",
    "words": "its action and view, and what else is known, such as the tag of an animation, commas between",
}
"""The words that a template may have in braces, with their meaning."""

FEW_PHRASES = 5
"""Up to here all orders of phrases are listed, at most 120."""


@dataclass(frozen=True)
class CaptionForm:
    """The words around what a name says. `template`: see `TEMPLATE_FIELDS`; what is empty leaves no comma."""

    template: str = DEFAULT_TEMPLATE
    trigger: str = ""
    prefix: str = ""
    suffix: str = ""


PLAIN = CaptionForm()


def caption_from_name(
    name: str, form: CaptionForm = PLAIN, words: Sequence[str] = (), parts: NameParts | None = None
) -> str | None:
    """A caption out of what a file is called: `wizards/FireMage_walk_2.png` is `pixel art, fire mage, walking`.

    `name`: path below the set's folder, with `/`. `words`: what else is known, such as the tag of an animation; where
    the name holds no subject, theirs counts. `parts`: of the name beside the others of its set. Returns None where
    nothing names a subject, for then the caption would say nothing of the sprite. Raises ConfigError for a template
    with other fields.
    """
    told = [words_of_name(folder) for folder in name.split("/")[:-1]]
    parts = parts or parts_of_names([name])[0]
    others = [parts_of_words(word) for word in words]
    subjects = [part.subject for part in others if part.subject]
    subject = parts.subject or "".join(subjects[:1])
    phrases = [*parts.phrases, *(phrase for part in others for phrase in (part.subject, *part.phrases))]
    values = {
        "name": subject,
        "folder": told[-1] if told else "",
        "folders": ", ".join(filter(None, told)),
        "words": ", ".join(phrase for phrase in dict.fromkeys(phrases) if phrase not in ("", subject)),
    }
    used = _fields_of(form.template)
    if used and not any(values[field] for field in used - {"words"} or used):
        return None
    return join_caption(form.template.format(**values), form.trigger, form.prefix, form.suffix)


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
