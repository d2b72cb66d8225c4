"""The adapter: its size, its kind and the layers it is on."""

from dataclasses import dataclass
from enum import Enum

from omegaconf import MISSING

from spritelora.config.fields import Affects, OnResume, key


class SaveDtype(Enum):
    """Number format of the exported LoRA weights."""

    fp16 = "fp16"
    bf16 = "bf16"
    fp32 = "fp32"


@dataclass
class LoraConfig:
    """Size and strength of the adapter."""

    rank: int = key(MISSING, "size of the LoRA: rank of every adapted layer", at_least=1, need=6)
    alpha: float | None = key(
        None, "what the LoRA adds is scaled by alpha/rank; unset: equal to the rank", above=0, need=22
    )
    dropout: float = key(
        0.0,
        "share of the LoRA's inputs that a step leaves out, against learning by heart",
        at_least=0,
        at_most=0.9,
        need=23,
    )
    rank_pattern: dict[str, int] = key({}, "ranks of layers whose path ends as a pattern says, {mid_block.*: 64}")
    alpha_pattern: dict[str, float] = key({}, "alphas likewise; unset with alpha: a layer's rank")
    save_dtype: SaveDtype = key(SaveDtype.fp16, "number format of lora.safetensors")

    @property
    def settled_alpha(self) -> float:
        """Alpha as given, or equal to the rank."""
        return float(self.rank) if self.alpha is None else self.alpha


class AdapterKind(Enum):
    """The kind of change that an adapter makes to a layer, apart from its rank.

    `lora`: by up @ down times alpha/rank. `rslora`: the same times alpha/sqrt(rank). `dora`: as `lora`, with a norm of
    each output's weights that is trained apart. `lokr`: by a Kronecker product. `loha`: by a product of two, element by
    element.
    """

    lora = "lora"
    rslora = "rslora"
    dora = "dora"
    lokr = "lokr"
    loha = "loha"

    @property
    def has_factors(self) -> bool:
        """Whether it has LoRA's down and up matrices, A and B."""
        return self.is_plain or self is AdapterKind.dora

    @property
    def is_plain(self) -> bool:
        """Whether these matrices are all it has."""
        return self in (AdapterKind.lora, AdapterKind.rslora)


@dataclass
class AdapterConfig:
    """The kind of the adapter, and what it starts from."""

    kind: AdapterKind = key(
        AdapterKind.lora, "how layers are changed; rslora scales by alpha/sqrt(rank), others by alpha/rank"
    )
    lokr_factor: int = key(
        -1,
        "lokr: the number of parts that a side of a weight is split into; -1: near its square root",
        at_least=-1,
        formerly=("factor",),
    )
    decompose_both: bool = key(False, "lokr: low rank for both parts of a weight")
    start: str | None = key(
        None, "LoRA file to go on from, of the same kind, layers and ranks", is_place=True, on_resume=OnResume.run
    )
    over: str | None = key(
        None,
        "LoRA file to train over: in the base here, and not in the new file",
        is_place=True,
        on_resume=OnResume.run,
    )
    over_strength: float = key(1.0, "strength of the file that is trained over", affects=Affects.predictions)
    tucker: bool = key(False, "lokr, loha: a rank of their own for the kernels of convolutions")


@dataclass
class TextEncodersConfig:
    """The layers of the text encoders that get an adapter beside the UNet's."""

    modules: list[str] = key(
        [], "endings of layer names in both encoders, for example q_proj or fc1; []: frozen", affects=Affects.encodings
    )
    lr: float | None = key(None, "their own learning rate; unset: half of optim.lr", above=0)
    rank: int | None = key(None, "rank of each of their layers; unset: lora.rank", at_least=1)
    alpha: float | None = key(None, "their alpha; unset: what gives them the alpha/rank of lora", above=0)

    @property
    def are_trained(self) -> bool:
        """Whether they learn anything."""
        return bool(self.modules)

    def settled_lr(self, unet_lr: float) -> float:
        """The rate as given, or half of the UNet's."""
        return unet_lr / 2 if self.lr is None else self.lr

    def settled_rank(self, lora: LoraConfig) -> int:
        """The rank as given, or the UNet's."""
        return lora.rank if self.rank is None else self.rank

    def settled_alpha(self, lora: LoraConfig) -> float:
        """Alpha as given, or so that alpha/rank is that of the UNet's adapter."""
        return lora.settled_alpha / lora.rank * self.settled_rank(lora) if self.alpha is None else self.alpha


@dataclass
class TargetsConfig:
    """The UNet layers that get an adapter."""

    modules: list[str] = key(MISSING, "endings of layer names, for example to_q or ff.net.2", at_least=1)
