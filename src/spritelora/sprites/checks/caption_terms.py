"""One thing written in several ways across a set: 16bit, 16-bit, 16 bit; grey, gray."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from spritelora.sprites.captions.made_captions import split_phrases
from spritelora.sprites.findings import Finding, Severity

VARIANTS: tuple[tuple[str, ...], ...] = (
    ("8-bit", "eight-bit"),
    ("16-bit", "sixteen-bit"),
    ("32-bit", "thirty-two-bit"),
    ("pixel art", "pixel graphics", "pixelated art"),
    ("top-down", "overhead view", "bird's-eye view"),
    ("armor", "armour"),
    ("ax", "axe"),
    ("center", "centre"),
    ("color", "colour"),
    ("colored", "coloured"),
    ("gray", "grey"),
    ("jewelry", "jewellery"),
    ("saber", "sabre"),
)
"""Spellings and words of one meaning; forms with hyphen, space or neither are found without a list."""

LONGEST_TERM = 3
LOOSE = "a an and any as at be by for from in into is it no of off on or out over some the to up with"
LOOSE_WORDS = frozenset(LOOSE.split())
"""Words that are never one half of a term: 'a part' is not 'apart'."""


def find_variant_terms(captions: Mapping[str, str], variants: Sequence[Sequence[str]] = VARIANTS) -> list[Finding]:
    """A warning for each caption that writes a term otherwise than most captions of the set do."""
    meaning = {_compact(term): _compact(group[0]) for group in variants for term in group}
    place = {_compact(term): number for group in variants for number, term in enumerate(group)}
    phrases = {
        file: [re.findall(r"[\w'’]+(?:-[\w'’]+)*", p) for p in split_phrases(caption.lower())]
        for file, caption in captions.items()
    }
    known = {_compact(word) for runs in phrases.values() for words in runs for word in words} | set(meaning)
    terms = {
        file: {term for words in runs for term in _terms_of(words) if _compact(term) in known}
        for file, runs in phrases.items()
    }
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for found in terms.values():
        for term in found:
            key = _compact(term)
            spellings[meaning.get(key, key)][term] += 1
    usual = {
        key: max(sorted(c), key=lambda t: (c[t], -place.get(_compact(t), 0)))
        for key, c in spellings.items()
        if len(c) > 1
    }
    return [
        Finding("variant_terms", Severity.warning, file, _told(term, best, spellings[key][best]))
        for file, found in terms.items()
        for term in sorted(found)
        if (best := usual.get(key := meaning.get(_compact(term), _compact(term)), term)) != term
    ]


def _told(term: str, usual: str, count: int) -> str:
    return f"writes '{term}' where {count} of the set's captions write '{usual}': the model learns them as two things"


def _terms_of(words: Sequence[str]) -> Iterator[str]:
    """Every word, and every run of two or three that may be one term."""
    yield from words
    for length in range(2, LONGEST_TERM + 1):
        for start in range(len(words) - length + 1):
            if LOOSE_WORDS.isdisjoint(run := words[start : start + length]):
                yield " ".join(run)


def _compact(term: str) -> str:
    return re.sub(r"[\s'’-]", "", term.lower())
