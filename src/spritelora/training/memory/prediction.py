"""The memory of a training run, predicted from shapes alone before anything is loaded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spritelora.adapters.layers.lora import adapter_parameters
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.process import LARGE_BYTES
from spritelora.sdxl.files.base import Autoencoder, Unet
from spritelora.sdxl.latents import decoded_image, posterior_mean
from spritelora.sdxl.layers.quantised import BYTES_PER_WEIGHT, quantised_layers
from spritelora.sdxl.layers.stored import is_stored
from spritelora.sdxl.sample import call_unet
from spritelora.sdxl.text import TextStack
from spritelora.sprites.pixels.image import LATENT_PX
from spritelora.training.memory.tracing import Arithmetic, trace_inference, trace_step

LOOP_BYTES = 90_000_000
"""Bytes that training adds to a CPU's process that has loaded its libraries: measured, see docs/benchmarks.md."""
SHARE = 0.87
"""Of a device's memory that a run is planned into: predictions are right to 15 %."""


@dataclass(frozen=True)
class Plan:
    """The savings of a run, and its batch. `checkpointed`: the share of the UNet's blocks that are computed again."""

    base: BaseFormat
    checkpointed: float
    batch_size: int

    @property
    def gradient_checkpointing(self) -> bool | float:
        """The setting: a share, or whether there is any where it is all or none."""
        return bool(self.checkpointed) if self.checkpointed in (0, 1) else self.checkpointed

    @property
    def words(self) -> str:
        """The plan as a user would type it."""
        checkpointed = str(self.gradient_checkpointing).lower()
        return f"hardware.base={self.base.value} hardware.gradient_checkpointing={checkpointed}"


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of a run by what they are for. `encoding`, `sampling`: the peaks of what comes before and between steps."""

    process: int
    base: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    encoding: int = 0
    sampling: int = 0

    @property
    def training(self) -> int:
        """The peak of a training step."""
        held = self.base + self.adapter + self.gradients + self.optimizer + self.activations
        return self.process + held

    @property
    def peak_gb(self) -> float:
        """The peak of the whole run in GB."""
        return max(self.training, self.encoding, self.sampling) / 1e9


def _forget(_name: str, compute: Callable[[], int]) -> int:
    return compute()


@dataclass(frozen=True)
class RunShapes:
    """A run without its numbers.

    `make_unet`: the UNet with its adapter, `make_vae`: the autoencoder, `make_text`: the text encoders, with an adapter
    where they are trained, all on the meta device in the run's formats. `canvas`: of the largest images, in pixels,
    width before height. `process`: bytes that libraries take of the
    same memory. `make_optimizer`: of the run. `draws`: whether it draws samples. `remember`: keeps a figure by name.
    """

    make_unet: Callable[[], Unet]
    make_vae: Callable[[], Autoencoder]
    make_text: Callable[[], TextStack]
    make_optimizer: Callable[[list[nn.Parameter]], Optimizer]
    arithmetic: Arithmetic
    canvas: tuple[int, int]
    process: int = 0
    draws: bool = True
    remember: Callable[[str, Callable[[], int]], int] = _forget

    def use(self, plan: Plan) -> MemoryUse:
        """The memory of a run under a plan."""
        base = self.remember(f"base {plan.base.value}", lambda: base_bytes(self.unet, plan.base))
        adapter = self.remember("adapter", lambda: adapter_bytes(self.unet))
        states = self.remember("states", lambda: self._state_bytes(self.unet))
        activations = self._activations_of_one(plan)
        if text_adapter := self.remember("text adapter", lambda: adapter_bytes(self.text)):
            base += self.remember("text base", lambda: base_bytes(self.text, BaseFormat.full))
            adapter += text_adapter
            states += self.remember("text states", lambda: self._state_bytes(self.text))
            activations += self._text_activations_of_one(plan)
        drawn = max(
            2 * plan.batch_size * self.remember("drawing", self._trace_drawing),
            self.remember("vae", lambda: weight_bytes(self.vae)) + self.remember("decoding", self._trace_decoding),
        )
        encoded = self.remember("vae", lambda: weight_bytes(self.vae)) + self.remember("encoding", self._trace_encoding)
        resident = self.process + base + adapter + states
        return MemoryUse(
            process=self.process,
            base=base,
            adapter=adapter,
            gradients=adapter,
            optimizer=states,
            activations=plan.batch_size * activations,
            encoding=self.process + max(4 * self.remember("text weights", self._text_weights), encoded),
            sampling=resident + drawn if self.draws else 0,
        )

    def largest_batch(self, plan: Plan, capacity_gb: float) -> int:
        """The most sprites of a forward pass that fit; 0 where not even one does."""
        one = self.use(replace(plan, batch_size=1))
        if one.peak_gb > capacity_gb:
            return 0
        most = 1 + int((capacity_gb - one.training / 1e9) / (one.activations / 1e9))
        while self.use(replace(plan, batch_size=most)).peak_gb > capacity_gb:  # samples are drawn in batches too
            most -= 1
        return most

    @cached_property
    def unet(self) -> Unet:
        """Shapes of the UNet with its adapter."""
        return self.make_unet()

    @cached_property
    def vae(self) -> Autoencoder:
        """Shapes of the autoencoder."""
        return self.make_vae()

    @cached_property
    def text(self) -> TextStack:
        """Shapes of the text encoders, with their adapter where they are trained."""
        return self.make_text()

    def _text_weights(self) -> int:
        return sum(p.numel() for p in self.text.parameters() if not p.requires_grad)

    def _activations_of_one(self, plan: Plan) -> int:
        is_int8 = plan.base is BaseFormat.int8 and plan.checkpointed < 1  # what else is kept is kept in any format

        def trace(heap_below: int) -> int:
            int8 = [w.weight for w in quantised_layers(self.unet, plan.base).values()] if is_int8 else []
            return trace_step(self.unet, self._loss, self.arithmetic, plan.checkpointed, int8, heap_below)

        return self._trace(f"activations{_words_of_share(plan.checkpointed)}{' int8' * is_int8}", plan, trace)

    def _text_activations_of_one(self, plan: Plan) -> int:
        def loss() -> Tensor:
            states, pooled = self.text(torch.zeros(1, 2, 77, dtype=torch.long, device="meta"))
            return states.float().sum() + pooled.float().sum()

        def trace(heap_below: int) -> int:
            return trace_step(self.text, loss, self.arithmetic, plan.checkpointed, heap_below=heap_below)

        return self._trace(f"text activations{' checkpointed' * bool(plan.checkpointed)}", plan, trace)

    def _trace(self, name: str, plan: Plan, trace: Callable[[int], int]) -> int:
        """A figure for one sprite, where the heap of a CPU asks for their number at that of a power of two together."""
        together = 1 if self.arithmetic.is_cuda else 2 ** (plan.batch_size.bit_length() - 1)
        return self.remember(f"{name}{f' in {together}' * (together > 1)}", lambda: trace(self._heap_below(together)))

    def _heap_below(self, together: int = 1) -> int:
        """Bytes for one sprite under which a tensor of so many is in the heap."""
        return 0 if self.arithmetic.is_cuda else LARGE_BYTES // together

    def _predict(self) -> Tensor:
        config, (width, height) = self.unet.config, self._latent_sides
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        shapes = [(1, 4, height, width), (1, 77, config["cross_attention_dim"]), (1, pooled), (1, 6), (1,)]
        noisy, text, pooled, ids, timesteps = (
            torch.zeros(s, device="meta", dtype=self.arithmetic.base) for s in shapes
        )
        return call_unet(self.unet, noisy, timesteps, text, {"text_embeds": pooled, "time_ids": ids.float()})

    @property
    def _latent_sides(self) -> tuple[int, int]:
        return self.canvas[0] // LATENT_PX, self.canvas[1] // LATENT_PX

    def _loss(self) -> Tensor:
        return self._predict().float().square().mean()

    def _state_bytes(self, model: nn.Module) -> int:
        return state_bytes(self.make_optimizer, [p.shape for p in adapter_parameters(model)])

    def _trace_drawing(self) -> int:
        return trace_inference(self.unet, self._predict, self.arithmetic, self._heap_below())

    def _trace_decoding(self) -> int:
        width, height = self._latent_sides
        latents = torch.zeros(1, 4, height, width, device="meta")
        return trace_inference(self.vae, lambda: decoded_image(self.vae, latents), EXACT, self._heap_below())

    def _trace_encoding(self) -> int:
        image = torch.zeros(1, 3, *self.canvas[::-1], device="meta")
        return trace_inference(self.vae, lambda: posterior_mean(self.vae, image), EXACT, self._heap_below())


def _words_of_share(checkpointed: float) -> str:
    return f" checkpointed {checkpointed:g}" if 0 < checkpointed < 1 else " checkpointed" * bool(checkpointed)


EXACT = Arithmetic(torch.float32, is_cuda=False)
"""The autoencoder's arithmetic everywhere."""


def adapter_bytes(model: nn.Module) -> int:
    """Bytes of what is trained."""
    return sum(p.nbytes for p in adapter_parameters(model))


def base_bytes(unet: nn.Module, base_format: BaseFormat) -> int:
    """Bytes of the frozen weights, the transformers' matrices in a number format."""
    frozen = {id(p): p for p in unet.parameters() if not p.requires_grad}
    if base_format is BaseFormat.half:
        named = ((n, p) for n, p in unet.named_parameters() if not p.requires_grad)
        return sum(2 * p.numel() if is_stored(n, p) else p.nbytes for n, p in named)
    if base_format not in BYTES_PER_WEIGHT:
        return sum(p.nbytes for p in frozen.values())
    packed = [frozen.pop(id(layer.weight)) for layer in quantised_layers(unet, base_format).values()]
    codes = BYTES_PER_WEIGHT[base_format] * sum(p.numel() for p in packed)
    return round(codes) + sum(p.nbytes for p in frozen.values())


def state_bytes(make_optimizer: Callable[[list[nn.Parameter]], Optimizer], shapes: Iterable[Sequence[int]]) -> int:
    """Bytes of an optimizer's state for parameters of these shapes, by one real step on one of each shape."""
    found: dict[tuple[int, ...], int] = {}
    total = 0
    for shape in map(tuple, shapes):
        if shape not in found:
            parameter = nn.Parameter(torch.zeros(shape))
            optimizer = make_optimizer([parameter])
            parameter.grad = torch.zeros(shape)
            optimizer.step()
            found[shape] = sum(_tensor_bytes(value) for value in optimizer.state[parameter].values())
        total += found[shape]
    return total


def _tensor_bytes(value: Any) -> int:
    return value.nbytes if isinstance(value, Tensor) else 0


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's parameters."""
    return sum(p.nbytes for p in model.parameters())


def plans(
    base: BaseFormat, checkpointed: float | None, batch_size: int, is_cuda: bool, is_fp32: bool = False
) -> list[Plan]:
    """The plans to choose from where a setting is left open, the quickest and most exact first.

    A quantised base is less exact, and takes more time than activations computed again; so it comes last, and on a CPU,
    where it saves least of all, only where it is asked for. There 16 bits beside fp32 arithmetic cost next to nothing.
    `is_fp32`: the arithmetic.
    """
    may_checkpoint = [0.0, 1.0] if checkpointed is None else [float(checkpointed)]
    if base is not BaseFormat.auto:
        return [Plan(base, c, batch_size) for c in may_checkpoint]
    if not is_cuda:
        formats = [BaseFormat.full, BaseFormat.half] if is_fp32 else [BaseFormat.full]
        return [Plan(f, c, batch_size) for c in may_checkpoint for f in formats]
    found = [Plan(BaseFormat.full, c, batch_size) for c in may_checkpoint]
    return found + [Plan(f, may_checkpoint[-1], batch_size) for f in (BaseFormat.int8, BaseFormat.nf4)]
