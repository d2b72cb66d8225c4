"""The parts of a training run, each built from the settings it uses."""

import logging
from typing import Any

import torch

from spritelora.adapters.layers.earlier_files import Earlier
from spritelora.adapters.layers.layer_plan import plan_adapter
from spritelora.adapters.layers.lora import check_plan, is_up, match_targets, put_adapter
from spritelora.config.strict import import_target
from spritelora.config.train.hardware_keys import Precision
from spritelora.config.train.schema import Prediction, TrainConfig
from spritelora.data.batch import Batch, Recipe, validation_batches
from spritelora.data.encode_set import Encoded
from spritelora.diffusion.bands import timestep_bands
from spritelora.diffusion.noise import NoiseRecipe
from spritelora.errors import ConfigError
from spritelora.sdxl.files.base import (
    BaseModel,
    Unet,
    empty_unet,
    read_alphas,
    read_prediction,
    read_zero_snr,
)
from spritelora.sdxl.layers.compiling import compile_blocks
from spritelora.sdxl.layers.quantised import BYTES_PER_WEIGHT, quantised_layers
from spritelora.sdxl.layers.recompute import recompute
from spritelora.sdxl.text import TextStack
from spritelora.sprites.split import why_none_held_out
from spritelora.training.module import LoraModule, Objective
from spritelora.training.optimizer import (
    build_optimizer,
    find_optimizer,
    group_by_rate,
    optimizer_settings,
    probe_optimizer,
)
from spritelora.training.text_training import rate_factor

log = logging.getLogger(__name__)


def check_adapter(config: TrainConfig, base: BaseModel, earlier: Earlier) -> None:
    """Raise ConfigError for targets and a rank that the UNet cannot have, before any of it is in memory.

    And WeightsError for files to begin with that do not fit.
    """
    unet = empty_unet(base)
    targets = match_targets(unet, config.targets.modules)
    plan = plan_adapter(config.lora, config.adapter, targets)
    base_format = config.hardware.base
    check_plan(unet, targets, plan, quantised_layers(unet, base_format) if base_format in BYTES_PER_WEIGHT else ())
    earlier.check(unet, base.name, plan, targets)


def add_adapter(config: TrainConfig, unet: Unet, earlier: Earlier) -> Unet:
    """The frozen UNet with an adapter, ready to train."""
    earlier.lay(unet)
    targets = match_targets(unet, config.targets.modules)
    put_adapter(unet, targets, plan_adapter(config.lora, config.adapter, targets), config.seed)
    earlier.begin(unet)
    recompute(unet, float(config.hardware.gradient_checkpointing or 0))
    if config.hardware.compile:
        compile_blocks(unet)
    return unet.train()


def build_objective(config: TrainConfig, base: BaseModel) -> Objective:
    """Builds the loss. Raises ConfigError where a noise prediction is asked of noise alone."""
    prediction = read_prediction(base, config.model.prediction)
    zero_snr = config.model.zero_terminal_snr
    if read_zero_snr(base, zero_snr) and prediction is not Prediction.v_prediction:
        raise ConfigError(
            "model.zero_terminal_snr=true with model.prediction=epsilon: at the last timestep the input is the noise "
            "itself, so predicting it teaches nothing; take model.prediction=v_prediction, with a base trained so"
        )
    return Objective(
        alphas=read_alphas(base, zero_snr),
        prediction=prediction,
        weighting=_build(config.weighting),
        noise_offset=config.objective.noise_offset,
        adaptive_offset=config.objective.adaptive_offset,
        error=_build(config.loss),
        unmasked_weight=config.objective.unmasked_weight,
    )


def build_recipe(config: TrainConfig) -> Recipe:
    """Builds the settings for drawing training samples."""
    objective = config.objective
    noise = NoiseRecipe(objective.pyramid_levels, objective.pyramid_discount, objective.perturbation)
    return Recipe(_build(config.timesteps), noise, config.data.caption_dropout)


def build_module(
    config: TrainConfig, objective: Objective, unet: Unet, precision: Precision, text: TextStack | None = None
) -> LoraModule:
    """Builds the module that is trained, with its objective, optimizer and schedule."""
    schedule, max_steps = _build(config.schedule), config.trainer.max_steps
    kind, settings = find_optimizer(config.optim), optimizer_settings(config.optim, precision)

    def factor_of(name: str) -> float:
        return rate_factor(config, name) * (config.optim.lora_plus if is_up(name) else 1.0)

    return LoraModule(
        unet,
        objective,
        make_optimizer=lambda named: build_optimizer(kind, group_by_rate(named, factor_of), **settings),
        rate_share=lambda step: schedule(step, max_steps),
        seed=config.seed,
        text=text,
    )


def check_optimizer(config: TrainConfig, device: torch.device, precision: Precision) -> None:
    """Raise ConfigError for an optimizer that cannot make a step as it is set, or not on this device."""
    settings = optimizer_settings(config.optim, precision)
    probe_optimizer(find_optimizer(config.optim), device, rate_factors(config), **settings)


def rate_factors(config: TrainConfig) -> list[float]:
    """Learning rates of groups of parameters over the one set. Raises ConfigError for LoRA+ without A and B."""
    if config.optim.lora_plus == 1:
        return [1.0]
    if not config.adapter.kind.has_factors:
        raise ConfigError(
            f"optim.lora_plus={config.optim.lora_plus:g} gives LoRA's up matrices (B) a rate of their own, and "
            f"adapter={config.adapter.kind.value} has none; leave it at 1, or take adapter=lora"
        )
    return [1.0, config.optim.lora_plus]


def _build(component: dict[str, Any]) -> Any:
    arguments = {name: value for name, value in component.items() if name != "_target_"}
    return import_target(component["_target_"])(**arguments)


def build_validation(config: TrainConfig, encoded: Encoded, num_timesteps: int) -> dict[str, list[Batch]]:
    """Validation batches by the name of their timestep band, from the held-out sprites where there are any."""
    validation = config.validation
    if not len(encoded.held_out):
        reason = why_none_held_out(config.data.holdout, len(encoded.training))
        log.info("nothing held out (%s): the validation loss is that of the training sprites", reason)
    measured = (encoded.held_out if len(encoded.held_out) else encoded.training).spread(validation.limit)
    bands = timestep_bands(validation.bands, num_timesteps)
    batches = validation_batches(measured, bands, validation.draws, config.trainer.batch_size)
    return {f"{first}_{last}": b for (first, last), b in zip(bands, batches, strict=True)}
