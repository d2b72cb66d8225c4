"""Characters of 32 px, put together from parts."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from spritelora.embedded.real.hues import colours_of
from spritelora.embedded.real.records import PackedSet
from spritelora.embedded.real.wording import Subject, names_colour

Pixels = NDArray[np.uint8]

WORN = {"cloak": 0.25, "boots": 0.6, "legs": 0.6, "body": 0.85, "gloves": 0.3, "beard": 0.05, "hair": 0.5,
        "head": 0.45, "hand1": 0.65, "hand2": 0.4}  # fmt: skip
"""The share of characters that wear a part of each layer."""

ORDER = ("cloak", "base", "boots", "legs", "body", "gloves", "beard", "hair", "head", "hand1", "hand2")
"""From the back to the front."""

LEGLESS = {"naga", "centaur", "octopode", "shadow"}
PHRASES = {"cloak": "{} cloak", "boots": "{} boots", "gloves": "{} gloves", "hair": "{} hair", "hand1": "holding {}",
           "hand2": "{}", "body": "{}", "legs": "{}", "head": "{}", "beard": "beard"}  # fmt: skip
BY_COLOUR = ("cloak", "boots", "gloves", "hair")
"""Layers of which a caption says the colour, not the name."""


class Wardrobe:
    """The parts by layer."""

    def __init__(self, packed: PackedSet) -> None:
        self.packed = packed
        self.layers: dict[str, list[int]] = defaultdict(list)
        for number, record in enumerate(packed.records):
            if record.layer:
                self.layers[record.layer].append(number)
        self.bases = self.layers["base"]

    def dress(self, rng: np.random.Generator) -> tuple[Pixels, Subject]:
        """A random character, cut to its pixels, and what is to be said of it."""
        base = self.bases[int(rng.integers(len(self.bases)))]
        name = self.packed.records[base].name
        chosen = {"base": base}
        for layer, chance in WORN.items():
            parts = self.layers[layer]
            if rng.random() < chance and parts and not (layer in ("boots", "legs") and set(name.split()) & LEGLESS):
                chosen[layer] = parts[int(rng.integers(len(parts)))]
        sprite = np.zeros((32, 32, 4), np.uint8)
        for layer in ORDER:
            if layer in chosen:
                part = self.packed.sprite(chosen[layer])
                sprite = np.where(part[..., 3:] > 127, part, sprite)
        details = [self.phrase(layer, number) for layer, number in chosen.items() if layer != "base"]
        said = [detail for detail in details if detail and rng.random() < 0.6]
        rows, columns = np.nonzero(sprite[..., 3])
        sprite = sprite[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        hand = self.packed.records[base].hand
        return sprite, Subject(name, (), ("person",), hand=hand, details=tuple(said))

    def phrase(self, layer: str, number: int) -> str:
        """The words of a caption for a part."""
        record = self.packed.records[number]
        if layer in BY_COLOUR:
            found = colours_of(self.packed.sprite(number)) or [""]
            return PHRASES[layer].format(found[0]).strip()
        colour = record.colours[0] if record.colours and not names_colour(record.name) else ""
        return PHRASES[layer].format(f"{colour} {record.name}".strip())
