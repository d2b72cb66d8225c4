"""Captions of drawn sprites, and the words they are made of."""

import numpy as np

from spritelora.embedded.drawn.drawn_sprite import BACKGROUNDS, HALF_EXTENT_PX, SpriteSpec
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.render import Style
from spritelora.embedded.drawn.subjects import SUBJECTS

TEMPLATES = (
    "pixel art, {thing}{tail}",
    "pixel art, {thing}{tail}",
    "pixel art, {thing}{tail}",
    "{thing}{tail}, pixel art",
    "pixel art of a {thing}{tail}",
    "a pixel art sprite of a {thing}{tail}",
    "16-bit game sprite, {thing}{tail}",
    "a {thing}{tail}, game icon",
)

NAME_COLOUR = 0.93
"""The share of captions that name the colour; the others teach a caption without one."""

FOREIGN_WORD = 0.04
"""The share of captions with a made-up word in them, so that a user's trigger word does not disturb the base."""


def write_caption(spec: SpriteSpec, rng: np.random.Generator) -> str:
    """A caption that is true of a sprite, naming what is unusual about it most of the time."""
    words = [spec.subject]
    if rng.random() < NAME_COLOUR:
        words.insert(0, spec.colour)
    if spec.size and rng.random() < 0.8:
        words.insert(0, spec.size)
    tail: list[str] = []
    if rng.random() < (0.2 if spec.style is Style.SHADED else 0.85):
        tail.append(spec.style.value)
    if spec.facing and rng.random() < (0.15 if spec.facing == "right" else 0.85):
        tail.append(f"facing {spec.facing}")
    if rng.random() < (0.15 if spec.background == "white" else 0.85):
        tail.append(f"{spec.background} background")
    if rng.random() < FOREIGN_WORD:
        tail.append(make_word(rng))
    order = rng.permutation(len(tail))
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    return template.format(thing=" ".join(words), tail="".join(f", {tail[place]}" for place in order))


def make_word(rng: np.random.Generator) -> str:
    """A word of random letters that means nothing."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join(letters[int(rng.integers(len(letters)))] for _ in range(int(rng.integers(2, 9))))


def caption_words() -> list[str]:
    """Every word a caption can use, sorted: what the tokenizer knows as one token each."""
    phrases = [*TEMPLATES, *SUBJECTS, *COLOURS, *HALF_EXTENT_PX, *BACKGROUNDS, *(style.value for style in Style)]
    text = " ".join(phrases).replace("{thing}", " ").replace("{tail}", " ").replace(",", " ").replace("-", " ")
    words = {*text.split(), "facing", "left", "right", "background"}
    return sorted(word for word in words if word.isalpha())
