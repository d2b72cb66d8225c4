"""The memory that a run needs, and the savings it takes where the settings leave them open."""

import json
import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spritelora.adapters.layers.layer_plan import plan_adapter
from spritelora.adapters.layers.lora import match_targets, put_adapter
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.data.cache import Cache, content_key
from spritelora.data.team import Team
from spritelora.errors import ConfigError
from spritelora.files import JsonObject
from spritelora.process import LARGE_BYTES, package_versions
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.files.geometry import (
    SDXL_TEXT,
    SDXL_TEXT_2,
    SDXL_UNET,
    SDXL_UNET_WEIGHTS,
    SDXL_VAE,
    shapes_of,
    vae_shapes_of,
)
from spritelora.sdxl.layers.quantised import BYTES_PER_WEIGHT, probe_quantised
from spritelora.sdxl.text import TextStack, text_shapes_of
from spritelora.training.hardware import Hardware
from spritelora.training.machine import DeviceFacts, process_memory_bytes, read_device
from spritelora.training.memory.prediction import LOOP_BYTES, SHARE, Plan, RunShapes, plans
from spritelora.training.memory.tracing import HEAP, Arithmetic
from spritelora.training.optimizer import build_optimizer, find_optimizer, optimizer_settings
from spritelora.training.text_training import adapt_text

log = logging.getLogger(__name__)

SHARES = tuple(tenths / 10 for tenths in range(1, 11))
"""Of the blocks that may be computed again where the settings leave it open."""
NO_QUESTION = 10
"""No base holds so many times the bytes of its fp32 weights for one image of the side it was made for."""


@dataclass(frozen=True)
class Geometry:
    """The configurations of a base's parts. `file_bytes`: of the UNet's weights, in 16 bits or more."""

    unet: JsonObject
    vae: JsonObject
    text: tuple[JsonObject, ...]
    file_bytes: int


FIRST = Plan(BaseFormat.full, 0.0, 1)
FULL_SIZE = Geometry(SDXL_UNET, SDXL_VAE, (SDXL_TEXT, SDXL_TEXT_2), 2 * SDXL_UNET_WEIGHTS)


def read_geometry(base: BaseModel) -> Geometry:
    """The geometry of a model on disk."""
    file_bytes = sum(file.stat().st_size for file in base.part("unet").sources().values())
    texts = base.config("text_encoder"), base.config("text_encoder_2")
    return Geometry(base.config("unet"), base.config("vae"), texts, file_bytes)


def run_shapes(
    config: TrainConfig, geometry: Geometry, hardware: Hardware, canvas: tuple[int, int] | None = None
) -> RunShapes:
    """A run's shapes; what was traced of them before is kept in its cache.

    `canvas`: the largest that its sprites lie on, None for the square.
    """
    canvas = canvas or (config.model.side_px, config.model.side_px)
    arithmetic = Arithmetic(hardware.base_dtype, hardware.device.type == "cuda")
    optimizer = find_optimizer(config.optim)
    settings = optimizer_settings(config.optim, hardware.precision)

    def make_unet() -> Any:
        unet: Any = nn.Module.to(shapes_of(geometry.unet), hardware.base_dtype)  # diffusers' own warns of changes
        targets = match_targets(unet.requires_grad_(False), config.targets.modules)
        put_adapter(unet, targets, plan_adapter(config.lora, config.adapter, targets), config.seed)
        return unet.train()

    def make_text() -> TextStack:
        return adapt_text(config, text_shapes_of(geometry.text).to(hardware.base_dtype))

    return RunShapes(
        make_unet,
        lambda: vae_shapes_of(geometry.vae),
        make_text,
        lambda parameters: build_optimizer(optimizer, [(parameters, 1.0)], **settings),
        arithmetic,
        canvas,
        process=0 if arithmetic.is_cuda else process_memory_bytes() + LOOP_BYTES,
        draws=bool(config.trainer.sample_every),
        remember=_kept_figures(config, geometry, arithmetic, canvas),
    )


def _kept_figures(
    config: TrainConfig, geometry: Geometry, arithmetic: Arithmetic, canvas: tuple[int, int]
) -> Callable[[str, Callable[[], int]], int]:
    cache = Cache(Path(config.data.cache))
    of_run = {
        "geometry": json.dumps([geometry.unet, geometry.vae, geometry.text], default=str, sort_keys=True),
        "adapter": repr((config.lora, config.adapter, config.targets, config.text_encoders, config.optim)),
        "arithmetic": repr((arithmetic, canvas[0] if canvas[0] == canvas[1] else canvas)),
        "heap": [HEAP, LARGE_BYTES],
        "versions": package_versions(),
    }

    def remember(name: str, compute: Callable[[], int]) -> int:
        key = content_key(figure=name, **of_run)
        entry = cache.find("memory", key, {})
        if entry is None or not entry.notes.get("bytes", "").isdecimal():
            entry = cache.store("memory", key, {}, {"bytes": str(compute())})
        return int(entry.notes["bytes"])

    return remember


def settle_savings(
    config: TrainConfig, base: BaseModel, hardware: Hardware, team: Team, canvas: tuple[int, int] | None = None
) -> tuple[TrainConfig, Hardware]:
    """The settings with base format and checkpointing decided, and the hardware with that base format.

    `canvas`: see `run_shapes`. A run that goes on keeps the format of its base. Raises TrainingError where bitsandbytes
    fails on the device.
    """
    asked = config.hardware
    if config.resume is not None and asked.base is BaseFormat.auto:
        asked = replace(asked, base=RunRecord.read(Path(config.resume)).settings.hardware.base)
    config = replace(config, hardware=asked)
    plan, reason = team.share(
        choose_plan(config, read_geometry(base), hardware, canvas) if team.is_first else (FIRST, "")
    )
    if BaseFormat.auto is asked.base or asked.gradient_checkpointing is None:
        log.info("%s (%s)", plan.words, reason)
    if plan.base in BYTES_PER_WEIGHT:
        probe_quantised(plan.base, hardware.device, hardware.base_dtype)
    settled = replace(asked, base=plan.base, gradient_checkpointing=plan.gradient_checkpointing)
    return replace(config, hardware=settled), replace(hardware, base=plan.base, chosen=reason)


def choose_plan(
    config: TrainConfig, geometry: Geometry, hardware: Hardware, canvas: tuple[int, int] | None = None
) -> tuple[Plan, str]:
    """The first plan that fits the device, of those that the settings leave open, and why it is that.

    `canvas`: see `run_shapes`.
    """
    asked, batch_size = config.hardware, config.trainer.batch_size
    is_cuda, is_fp32 = hardware.device.type == "cuda", hardware.base_dtype == torch.float32
    if asked.base is BaseFormat.half and not is_fp32:
        raise ConfigError(
            f"hardware.base=half is 16 bits a weight beside fp32 arithmetic, and hardware.precision="
            f"{hardware.precision.value} has 16 bits in all; take hardware.base=full, or hardware.precision=fp32"
        )
    open_plans = plans(asked.base, asked.gradient_checkpointing, batch_size, is_cuda, is_fp32)
    if len(open_plans) == 1:
        return open_plans[0], "as asked"
    facts = read_device(hardware.device)
    canvas = canvas or (config.model.side_px, config.model.side_px)
    if is_small(geometry, max(canvas), batch_size, facts):
        return open_plans[0], f"{facts.name}, {facts.total_gb:.0f} GB: this base needs no saving"
    return first_fitting(run_shapes(config, geometry, hardware, canvas), open_plans, facts)


def first_fitting(run: RunShapes, open_plans: list[Plan], facts: DeviceFacts) -> tuple[Plan, str]:
    """The first plan that fits, with no more blocks computed again than it needs; else the last; and why."""

    def fits(plan: Plan) -> bool:
        return run.use(plan).peak_gb <= facts.total_gb * SHARE

    first_gb = run.use(open_plans[0]).peak_gb
    plan = next(filter(fits, open_plans), open_plans[-1])
    if plan.checkpointed == 1 and open_plans[0].checkpointed == 0:
        fewer = [replace(plan, checkpointed=share) for share in SHARES]
        plan = fewer[bisect_left(fewer, True, hi=len(fewer) - 1, key=fits)]
    needs = f"{facts.name}, {facts.total_gb:.1f} GB: needs about {run.use(plan).peak_gb:.1f} GB"
    return plan, needs if plan is open_plans[0] else f"{needs}; without savings {first_gb:.1f} GB"


def is_small(geometry: Geometry, side_px: int, batch_size: int, facts: DeviceFacts) -> bool:
    """Whether a base is so small beside the device that nothing has to be traced to see that it fits."""
    area = (side_px / 8 / (geometry.unet.get("sample_size") or 128)) ** 2
    weights_gb = 2 * geometry.file_bytes / 1e9  # in fp32
    return weights_gb * (1 + NO_QUESTION * batch_size * max(area, 1)) < facts.total_gb
