"""The adapter of each layer: the kind, and rank and alpha, by patterns of the layers' paths."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from spritelora.config.train.adapter_keys import AdapterConfig, AdapterKind, LoraConfig
from spritelora.errors import ConfigError

Number = TypeVar("Number", bound=float)


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter's kind and size. `alpha` None: equal to the rank, of each layer.

    `ranks`, `alphas`: of layers that have others, by their path. `factor`, `both`: how LoKr splits a weight, and
    whether both of its parts are of low rank; `tucker`: kernels of convolutions apart, in LoKr and LoHa.
    """

    kind: AdapterKind
    rank: int
    alpha: float | None = None
    dropout: float = 0.0
    factor: int = -1
    both: bool = False
    tucker: bool = False
    ranks: Mapping[str, int] = field(default_factory=dict[str, int])
    alphas: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def common_alpha(self) -> float:
        return float(self.rank) if self.alpha is None else self.alpha

    def for_layers(self, layers: Sequence[str], ranks: Mapping[str, int], alphas: Mapping[str, float]) -> "AdapterPlan":
        """The plan with the rank and alpha that patterns give these layers.

        Raises ConfigError for a pattern that matches none of them.
        """
        found = match_patterns("lora.rank_pattern", layers, ranks)
        own = match_patterns("lora.alpha_pattern", layers, alphas)
        follow = {layer: float(rank) for layer, rank in found.items()} if self.alpha is None else {}
        return replace(self, ranks=found, alphas={**follow, **own})


def match_patterns(key: str, layers: Sequence[str], patterns: Mapping[str, Number]) -> dict[str, Number]:
    """The number of every layer that a pattern matches to its end, whole names only, as PEFT does; the first counts.

    Raises ConfigError for a pattern that is no regular expression or matches no layer, and a number not above 0.
    """
    matched: dict[str, Number] = {}
    for pattern, number in reversed(list(patterns.items())):
        try:
            hits = [layer for layer in layers if re.fullmatch(rf"(.*\.)?({pattern})", layer)]
        except re.error as error:
            raise ConfigError(f"{key}: {pattern} is not a regular expression ({error})") from error
        if number <= 0:
            raise ConfigError(f"{key}: {pattern} has {number}; give a number above 0")
        if not hits:
            near = difflib.get_close_matches(pattern, layers, 3, 0) or layers[:3]
            raise ConfigError(
                f"{key}: {pattern} matches none of the {len(layers)} target layers to its end; layers are named like "
                f"{', '.join(near)}; of a whole block: mid_block.*"
            )
        matched.update(dict.fromkeys(hits, number))
    return matched


def plan_adapter(lora: LoraConfig, adapter: AdapterConfig, targets: list[str]) -> AdapterPlan:
    """The adapters of the target layers. Raises ConfigError for a pattern that matches none of them."""
    plan = AdapterPlan(
        adapter.kind, lora.rank, lora.alpha, lora.dropout, adapter.lokr_factor, adapter.decompose_both, adapter.tucker
    )
    return plan.for_layers(targets, lora.rank_pattern, lora.alpha_pattern)
