"""Captions of real sprites, written anew each time a sprite is shown."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from spritelora.embedded.drawn import caption_words
from spritelora.embedded.drawn.drawn_captions import FOREIGN_WORD, TEMPLATES, make_word
from spritelora.embedded.real.hues import NAMES
from spritelora.embedded.real.records import Record

PLAIN_TEMPLATE = "{thing}{tail}"

NAME_COLOUR, NAME_KIND, NAME_VIEW, NAME_HAND, NAME_GROUND, NAME_WHITE = 0.55, 0.45, 0.8, 0.5, 0.85, 0.15
NAME_SIZE, NAME_TWO_COLOURS, NO_ART_WORD = {"small": 0.6, "large": 0.2}, 0.12, 0.12
"""Shares of captions that say each of these, where it is so; the last: that do not say that this is pixel art."""

OWN_WORDS = (
    *("small", "large", "background", "and", "with", "holding", "front", "back", "left", "right"),
    *("full", "tile", "symbol", "style", "hair"),
)


@dataclass(frozen=True)
class Subject:
    """The content of a caption. `ground`: the words for the ground behind the sprite; `size`: small, large or empty."""

    name: str
    colours: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    hand: str = ""
    ground: str = "white"
    size: str = ""
    details: tuple[str, ...] = field(default=())


def subject_of(record: Record) -> Subject:
    """The content of a record's caption, without the ground."""
    kinds = (
        (*record.kinds, "full tile") if record.is_opaque and not record.name.startswith("portrait") else record.kinds
    )
    views = tuple(phrase for phrase in (record.pose, record.view) if phrase)
    return Subject(record.name, record.colours, kinds, views, record.hand)


def names_colour(name: str) -> bool:
    """Whether a name has a colour's word in it."""
    return not set(name.split()).isdisjoint(NAMES)


def in_colour(subject: Subject, colour: str) -> Subject | None:
    """A subject painted in another main colour; None where its name's colours do not name the main one."""
    name = subject.name
    if names_colour(name):
        if subject.colours[0] not in name.split():
            return None
        name = re.sub(rf"\b{subject.colours[0]}\b", colour, name)
    return replace(subject, name=name, colours=(colour, *subject.colours[1:]))


def write_caption(subject: Subject, rng: np.random.Generator) -> str:
    """A caption that is true of a sprite and says some of what is known of it."""
    colours = () if names_colour(subject.name) else subject.colours
    words = [subject.name]
    if colours and rng.random() < NAME_COLOUR:
        words.insert(0, colours[0])
    if subject.size and rng.random() < NAME_SIZE[subject.size]:
        words.insert(0, subject.size)
    tail = [kind for kind in subject.kinds if rng.random() < NAME_KIND]
    tail += [view for view in subject.views if rng.random() < NAME_VIEW]
    tail += [detail for detail in subject.details if rng.random() < NAME_VIEW]
    if subject.hand and rng.random() < NAME_HAND:
        tail.append(subject.hand)
    if rng.random() < (NAME_WHITE if subject.ground == "white" else NAME_GROUND) and subject.ground:
        tail.append(f"{subject.ground} background")
    if len(subject.colours) > 1 and rng.random() < NAME_TWO_COLOURS:
        tail.append(f"{subject.colours[0]} and {subject.colours[1]}")
    if rng.random() < FOREIGN_WORD:
        tail.append(make_word(rng))
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))] if rng.random() > NO_ART_WORD else PLAIN_TEMPLATE
    return fill(template, words, [tail[place] for place in rng.permutation(len(tail))])


def full_caption(subject: Subject) -> str:
    """The caption that tests use: always the same for a subject, with its main colour, kinds and views."""
    colour = [] if names_colour(subject.name) else list(subject.colours[:1])
    return fill(TEMPLATES[0], [*colour, subject.name], [*subject.kinds, *subject.views, *subject.details])


def fill(template: str, words: Iterable[str], tail: Iterable[str]) -> str:
    """A template with its words."""
    return template.format(thing=" ".join(words), tail="".join(f", {phrase}" for phrase in tail))


def all_words(records: Iterable[Record]) -> list[str]:
    """Every word that captions of drawn sprites and of these records can use, sorted."""
    words = {*caption_words(), *NAMES, *OWN_WORDS}
    for record in records:
        for text in (record.name, *record.kinds, record.view, record.pose, record.hand):
            words.update(text.split())
    return sorted(word for word in words if word.isalpha())
