"""Several LoRAs made one, and a LoRA made smaller, with the loss told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spritelora.adapters.files.bases import EMBEDDED, base_of, require_plain_sdxl
from spritelora.adapters.files.changes import Change
from spritelora.adapters.files.lora_file import ADAPTER_METADATA, LoraFile
from spritelora.adapters.files.lowrank import LowRank, add, distance, even_alphas, size, truncate
from spritelora.errors import WeightsError

HASHES = ("sshs_", "modelspec.hash")
OF_ONE_FILE = ("modelspec.date", "modelspec.thumbnail", "ss_steps", "ss_seed")
"""Beginnings of entries that are true of one file alone."""


@dataclass(frozen=True)
class Loss:
    """The loss of a module by truncation: the norms of the part cut off and of the whole."""

    missing: float
    whole: float

    @property
    def share(self) -> float:
        return self.missing / self.whole if self.whole else 0.0


def merge_loras(loras: Sequence[tuple[LoraFile, float]]) -> dict[str, LowRank]:
    """The sum of LoRAs, each times its strength, without loss; of one LoRA alone at strength 1, its own factors.

    Raises WeightsError for a LoRA that is not for SDXL or for another base than the others.
    """
    for lora, _ in loras:
        require_plain_sdxl(lora)
    bases = {lora.path: base_of(lora) for lora, _ in loras}
    if len(set(bases.values())) > 1:
        told = ", ".join(f"{path} for {base}" for path, base in bases.items())
        raise WeightsError(f"these LoRAs are for different bases: {told}; merge LoRAs of one base")
    names = list(dict.fromkeys(name for lora, _ in loras for name in lora.modules))
    merged: dict[str, LowRank] = {}
    for name in names:
        try:
            merged[name] = add([(lora.modules[name], strength) for lora, strength in loras if name in lora.modules])
        except WeightsError as error:
            raise WeightsError(f"{name} of {', '.join(str(path) for path in bases)}: {error}") from error
    return even_alphas(merged)


def resize(modules: Mapping[str, LowRank], rank: int) -> tuple[dict[str, LowRank], dict[str, Loss]]:
    """The closest LoRA of at most `rank` in every module, and what each module loses.

    Raises WeightsError where a module is not finite.
    """
    resized: dict[str, LowRank] = {}
    losses: dict[str, Loss] = {}
    for name, change in modules.items():
        if not (change.down.isfinite().all() and change.up.isfinite().all()):
            raise WeightsError(f"{name} holds values that are not finite; train again with a lower optim.lr")
        resized[name] = truncate(change, rank)
        losses[name] = Loss(distance(resized[name], change), size(change))
    return even_alphas(resized), losses


def total_loss(losses: Mapping[str, Loss]) -> Loss:
    """The loss of all modules together."""
    missing = sum(loss.missing**2 for loss in losses.values()) ** 0.5
    return Loss(missing, sum(loss.whole**2 for loss in losses.values()) ** 0.5)


def merged_metadata(
    loras: Sequence[tuple[LoraFile, float]], modules: Mapping[str, LowRank], title: str
) -> dict[str, str]:
    """The metadata that all the LoRAs share, with the rank and alpha of the result and, where it is new, its origin."""
    is_the_same = len(loras) == 1 and loras[0][1] == 1
    dropped = HASHES if is_the_same else (*HASHES, *OF_ONE_FILE)
    shared = set.intersection(*(set(lora.metadata.items()) for lora, _ in loras))
    kept = {k: v for k, v in shared if not k.startswith(dropped) and k not in (ADAPTER_METADATA, "format")}
    triggers = dict.fromkeys(lora.metadata.get("modelspec.trigger_phrase", "") for lora, _ in loras)
    added = {
        "modelspec.trigger_phrase": ", ".join(filter(None, triggers)),
        "modelspec.merged_from": "" if is_the_same else ", ".join(f"{lora.title} ({s:g})" for lora, s in loras),
    }
    version = "sdxl_spritelora_tiny" if base_of(loras[0][0]) == EMBEDDED.name else "sdxl_base_v1-0"
    return {
        "ss_v2": "False",
        "ss_base_model_version": version,
        "ss_network_module": "networks.lora",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        **kept,
        **rank_metadata(modules),
        "ss_output_name": title,
        "modelspec.title": title,
        **{name: text for name, text in added.items() if text},
    }


def rank_metadata(modules: Mapping[str, Change]) -> dict[str, str]:
    """The entries about rank and alpha; kohya's word for ranks that differ is Dynamic."""
    ranks, alphas = ({getattr(c, name) for c in modules.values()} for name in ("rank", "alpha"))
    return {
        "ss_network_dim": str(ranks.pop()) if len(ranks) == 1 else "Dynamic",
        "ss_network_alpha": f"{alphas.pop():g}" if len(alphas) == 1 else "Dynamic",
    }
