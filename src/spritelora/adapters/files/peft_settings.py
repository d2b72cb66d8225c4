"""The alphas in the configuration of a PEFT adapter, checked once: a stranger may have written it.

Source: `peft.utils.get_pattern_key`: a pattern counts where it matches the end of a layer's path, from a dot on.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from spritelora import limits
from spritelora.errors import WeightsError
from spritelora.files import JsonObject
from spritelora.weight_files.container import stand_in

NAME = re.compile(r"[\w.-]+")
REPEATS = re.compile(r"[*+{?]")
NESTED = re.compile(r"[()]|\\\d")
"""Parts of a pattern that can make the time of a match grow without bound; names of layers do not need them."""


@dataclass(frozen=True)
class AlphaSettings:
    """The alphas of an adapter's layers. `common`: of all that `names` and `patterns` do not mean; None: the rank.

    `names`: ends of paths, and `patterns`, each with its place in the file, for the first that fits counts.
    `is_stabilised`: alpha is over the root of the rank.
    """

    common: float | None = None
    names: Mapping[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    patterns: Sequence[tuple[int, re.Pattern[str], float]] = ()
    is_stabilised: bool = False

    def alpha_of(self, path: str, is_known: bool = True) -> float | None:
        """The alpha of a layer as written; None where nothing is said of it.

        `is_known`: whether SDXL has the layer; of another, whose name may be of any length, names alone are looked up.
        """
        starts = [0, *(place + 1 for place, letter in enumerate(path) if letter == ".")]
        found = [self.names[path[start:]] for start in starts if path[start:] in self.names]
        for place, pattern, alpha in self.patterns if is_known else ():
            if any(pattern.fullmatch(path, start) for start in starts):
                found.append((place, alpha))
        return min(found)[1] if found else self.common


def read_settings(where: Path | str, text: str | bytes) -> JsonObject:
    """A JSON object that belongs to an adapter. Raises WeightsError that says `where`."""
    try:
        limits.SETTINGS_BYTES.check(len(text))
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        instead = stand_in(where) if isinstance(where, Path) else None
        raise WeightsError(f"{where}: {instead or f'not JSON ({error}); get the adapter again'}") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{where}: not a JSON object; get the adapter again")
    return cast(JsonObject, value)


def settle_alphas(where: Path | str, settings: Mapping[str, Any]) -> AlphaSettings:
    """The alphas of a LoRA's configuration, or of a LoKr's or LoHa's. Raises WeightsError that says `where`."""
    key = "alpha" if "alpha" in settings else "lora_alpha"
    try:
        common = None if settings.get(key) is None else _number(key, settings[key])
        names: dict[str, tuple[int, float]] = {}
        patterns: list[tuple[int, re.Pattern[str], float]] = []
        told: object = settings.get("alpha_pattern") or {}
        if not isinstance(told, dict):
            raise ValueError("alpha_pattern is no JSON object")
        for place, (pattern, value) in enumerate(cast(dict[str, object], told).items()):
            alpha = _number(f"alpha_pattern: {pattern[:80]}", value)
            if NAME.fullmatch(pattern):
                names.setdefault(pattern, (place, alpha))
            else:
                patterns += [(place, either, alpha) for either in _patterns(pattern)]
                limits.PATTERNS.check(len(patterns))
        return AlphaSettings(common, names, patterns, settings.get("use_rslora") is True)
    except ValueError as error:
        raise WeightsError(f"{where}: {error}; get the adapter again") from error


def _patterns(text: str) -> list[re.Pattern[str]]:
    """The alternatives of a pattern, each matched in a time that the length of a path bounds.

    Raises ValueError for a pattern with groups, and for one that repeats much.
    """
    limits.PATTERN_LETTERS.check(len(text), key="alpha_pattern")
    if NESTED.search(text):
        raise ValueError(f"alpha_pattern: '{text[:80]}' may be matched for ever; write names of layers, without groups")
    alternatives = text.split("|")
    for one in alternatives:
        limits.PATTERN_REPEATS.check(len(REPEATS.findall(one)), pattern=one[:80])
    try:
        return [re.compile(one) for one in alternatives]
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"alpha_pattern: '{text[:80]}' is no pattern ({error})") from error


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {str(value)[:40]!r}, not a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} is a number of {len(str(value)):,} digits") from error
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}, not a number")
    return number
