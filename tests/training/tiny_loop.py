"""The training loop on a random UNet so small that a run of sixty steps is over in a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.hardware_keys import Device, Precision
from spritelora.config.train.schema import Prediction
from spritelora.data.batch import validation_batches
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.data.stream import SpriteData
from spritelora.diffusion.schedule import NUM_TIMESTEPS, cumulative_alphas
from spritelora.diffusion.weighting import Uniform
from spritelora.runs.layout import STATE_FOLDER
from spritelora.sdxl.files.geometry import SDXL_UNET, random_unet
from spritelora.sdxl.text import TextEmbedding
from spritelora.training.callbacks.checkpoints import Checkpoints, StopRequest, newest_checkpoint, step_name
from spritelora.training.callbacks.ema import Average
from spritelora.training.callbacks.finite import FiniteGuard
from spritelora.training.callbacks.progress import Clock, FixedNoiseValidation, StepMeter
from spritelora.training.hardware import choose_hardware
from spritelora.training.logs.run_log import RunLog
from spritelora.training.loop import Parts, StepEvents
from spritelora.training.module import LoraModule, Objective
from spritelora.training.optimizer import build_optimizer, find_optimizer, group_by_rate, optimizer_settings
from spritelora.training.state_files import StateFiles
from spritelora.training.trainer import make_trainer
from tests.composing import compose

CPU = torch.device("cpu")
UNET = {
    **SDXL_UNET,
    "block_out_channels": (64,),
    "down_block_types": ("CrossAttnDownBlock2D",),
    "up_block_types": ("CrossAttnUpBlock2D",),
    "transformer_layers_per_block": (1,),
    "attention_head_dim": (1,),
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 16 + 6 * 8,
}
TARGETS = ["attn1.to_q", "attn2.to_v"]


@dataclass(frozen=True)
class Settings:
    """What a run of the loop is told."""

    max_steps: int
    optim: str = "adamw"
    kind: AdapterKind = AdapterKind.lora
    accumulate: int = 1
    ema: float = 0.0
    max_norm: float = 0.0
    save_every: int = 0  # 0: at the last step alone
    log_every: int = 10
    rank: int = 64  # 64 x 64 weights: from there on 8-bit optimizers keep their states in 8 bits
    keep_last: int = 0
    batch_size: int = 2
    dropout: float = 0.1


@cache
def _optim(option: str) -> Any:
    return compose(f"optim={option}").optim


@cache
def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return random_unet(UNET, CPU, torch.float32).state_dict()


def tiny_unet() -> Any:
    """The same random UNet each time, frozen."""
    unet = random_unet(UNET, CPU, torch.float32)
    unet.load_state_dict(_weights())
    return unet.requires_grad_(False)


def tiny_set(count: int = 8, shapes: Sequence[tuple[int, int]] = ((4, 4),)) -> EncodedSet:
    """Random sprites, each under a text of its own; the first three are frames of one subject.

    `shapes`: of their latents, in turn.
    """
    source = torch.Generator().manual_seed(0)
    latents = [torch.randn(4, *shapes[i % len(shapes)], generator=source) for i in range(count)]
    texts = [TextEmbedding(torch.randn(77, 16, generator=source), torch.randn(16, generator=source)) for _ in latents]
    views = [EncodedView(z, [text]) for z, text in zip(latents, texts, strict=True)]
    subjects = ["hero" if i < 3 else "" for i in range(count)]
    return EncodedSet([EncodedSprite(f"sprite_{i}.png", [v], subject=subjects[i]) for i, v in enumerate(views)])


def tiny_module(settings: Settings) -> LoraModule:
    """The UNet with a new adapter and an optimizer."""
    unet, optim = tiny_unet(), _optim(settings.optim)
    add_lora(
        unet, match_targets(unet, TARGETS), settings.rank, settings.rank, settings.dropout, seed=0, kind=settings.kind
    )
    return LoraModule(
        unet.train(),
        Objective(cumulative_alphas(), Prediction.epsilon, Uniform(), 0.0),
        make_optimizer=lambda named: build_optimizer(
            find_optimizer(optim), group_by_rate(named, lambda _name: 1.0), **optimizer_settings(optim, Precision.fp32)
        ),
        rate_share=lambda step: 1 - step / 100,
        seed=0,
    )


class AfterSteps(pl.Callback):
    """Something that a test does after each optimizer step, before what the run does there itself."""

    def after_step(self, module: LoraModule, step: int) -> None:
        """Called with the steps counted from 1."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.after_step(pl_module, trainer.global_step)


def train(folder: Path, settings: Settings, *more: pl.Callback, encoded: EncodedSet | None = None) -> LoraModule:
    """Run the loop from the newest checkpoint in the folder, where there is one, to its last step, and save there."""
    folder.mkdir(exist_ok=True)
    checkpoint = newest_checkpoint(folder)
    encoded, module = encoded or tiny_set(), tiny_module(settings)
    step = int(checkpoint.name.rpartition("_")[2]) if checkpoint else 0
    run_log = RunLog(folder, None, step)
    parts = Parts(
        stop=StopRequest(),
        guard=FiniteGuard(encoded.names, folder),
        meter=StepMeter(run_log, Clock(), settings.batch_size * settings.accumulate, show_bar=False),
        validation=FixedNoiseValidation(run_log, {"0_1000": validation_batches(encoded, [(0, 1000)], 1, 8)[0]}, 0),
        checkpoints=Checkpoints(folder, "{}", _write_names, settings.save_every, settings.keep_last),
        max_norm=settings.max_norm,
        average=Average(settings.ema) if settings.ema else None,
    )
    events = StepEvents(parts, run_log, settings.log_every)
    trainer = make_trainer(
        choose_hardware(Device.cpu, Precision.fp32),
        settings.max_steps,
        1.0,
        [*more, events],
        devices=1,
        accumulate_grad_batches=settings.accumulate,
        plugins=[StateFiles()],
    )
    data = SpriteData(encoded, 0, settings.batch_size, NUM_TIMESTEPS)
    trainer.fit(module, data, ckpt_path=str(checkpoint / STATE_FOLDER) if checkpoint else None)
    if not (folder / step_name(settings.max_steps)).exists():
        events.save(module, step_name(settings.max_steps))
    return module


def _write_names(file: Path, step: int) -> None:
    file.write_text(f"step {step}")
