"""The messages of a run before its first step and after its last."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from spritelora.adapters.files.formats import SAVE_DTYPE
from spritelora.adapters.layers.lora import adapter_parameters
from spritelora.adapters.layers.peft_layer import adapted_layers
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.schema import TrainConfig
from spritelora.data.batch import Batch, Recipe, training_batch
from spritelora.data.encode_set import Encoded
from spritelora.runs.layout import LORA_FILE
from spritelora.runs.metrics import SUMMARY
from spritelora.shown import duration
from spritelora.sprites.passes import USUAL_PASSES, passes_advice
from spritelora.training.hardware import Hardware
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import eight_bit_share
from spritelora.training.probe import StepCost, measure_step
from spritelora.training.text_training import announce_text

log = logging.getLogger(__name__)

NAMES = {
    AdapterKind.lora: "LoRA", AdapterKind.rslora: "rsLoRA", AdapterKind.dora: "DoRA", AdapterKind.lokr: "LoKr",
    AdapterKind.loha: "LoHa",
}  # fmt: skip


def announce_run(
    config: TrainConfig, hardware: Hardware, module: LoraModule, encoded: Encoded, recipe: Recipe, first_step: int
) -> None:
    """Say what is trained and how long it will take, by a few real passes."""
    num_parameters = sum(p.numel() for p in adapter_parameters(module.unet))
    bytes_per_weight = SAVE_DTYPE[config.lora.save_dtype].itemsize
    announce_adapter(config, len(adapted_layers(module.unet)), num_parameters, bytes_per_weight)
    warn_of_two_schedules(config)
    announce_text(config, module)
    announce_state_bits(eight_bit_share(module.make_optimizer(module.trainable())))
    batch = _largest_batch(config, encoded, recipe, len(module.objective.alphas))
    is_16_bit = hardware.base_dtype != torch.float32
    autocast = torch.autocast(hardware.device.type, hardware.base_dtype, is_16_bit, cache_enabled=False)  # as Lightning
    if config.hardware.compile:
        log.info("compiling the transformer blocks: a minute or more")
    cost = measure_step(module, batch, autocast)
    announce_plan(config, hardware, cost, encoded, first_step)


def _largest_batch(config: TrainConfig, encoded: Encoded, recipe: Recipe, num_timesteps: int) -> Batch:
    """The first batch of the largest sprites, which takes the most memory and time."""
    samples_a_step, shown = config.sprites_a_step, encoded.training
    first = samples_a_step * shown.order.first_step(shown.largest_shape)
    positions = range(first, first + config.trainer.batch_size)
    return training_batch(shown, config.seed, positions, num_timesteps, recipe, samples_a_step)


def announce_adapter(config: TrainConfig, num_layers: int, num_parameters: int, bytes_per_weight: int) -> None:
    """Say how large the LoRA is and how strong its steps are."""
    alpha, name = config.lora.settled_alpha, NAMES[config.adapter.kind]
    if config.adapter.kind is AdapterKind.rslora:
        log.info(
            "rsLoRA scales by alpha/sqrt(rank) = %.3g; files say alpha %.4g, which gives their readers the same",
            config.file_alpha / config.lora.rank,
            config.file_alpha,
        )
    log.info(
        "%s rank %d, alpha %g: %.2f M trainable parameters in %d layers; file about %.1f MB",
        name,
        config.lora.rank,
        alpha,
        num_parameters / 1e6,
        num_layers,
        num_parameters * bytes_per_weight / 1e6,
    )
    log.info(
        "%s: learning rate %.3g at alpha/rank %.3g (a rate from another trainer goes with its alpha)",
        config.optim._target_.rpartition(".")[2],
        config.optim.lr,
        config.file_alpha / config.lora.rank,
    )


def warn_of_two_schedules(config: TrainConfig) -> None:
    """Say that a schedule-free optimizer is given a rate that falls."""
    if config.optim.is_schedule_free and not config.schedule["_target_"].endswith(".Constant"):
        log.warning("a schedule-free optimizer takes the place of a falling learning rate: add schedule=constant")


def announce_state_bits(share: float | None) -> None:
    """Say how much of an 8-bit optimizer's state is really in 8 bits."""
    if share is not None:
        log.info(
            "8-bit optimizer states for %.1f %% of the parameters (tensors under 4,096 elements stay fp32)", 100 * share
        )


def announce_plan(config: TrainConfig, hardware: Hardware, cost: StepCost, encoded: Encoded, first_step: int) -> None:
    """Say how often each sprite or subject is seen, how long the run will take and what memory it needs."""
    trainer, num_sprites = config.trainer, len(encoded.training)
    times = [subject.times for subject in encoded.training.order.subjects]
    sprites_a_step = config.sprites_a_step
    seen_a_step = sprites_a_step * config.data.share_of_sprites
    if hardware.place.size > 1:
        more = f" x {trainer.accumulate} accumulated" if trainer.accumulate > 1 else ""
        log.info(
            "%d processes x batch %d%s = %d sprites a step; the learning rate is not scaled",
            hardware.place.size,
            trainer.batch_size,
            more,
            sprites_a_step,
        )
    usual = passes_advice(sum(times), seen_a_step)
    log.info(
        "%d steps of %d sprites: each of %d %s is seen %s times; %d to %d times are usual, %s to %s steps",
        trainer.max_steps,
        sprites_a_step,
        len(times),
        "sprites" if len(times) == num_sprites else f"subjects (of {num_sprites} sprites)",
        passes_over_each(trainer.max_steps * seen_a_step, times),
        *USUAL_PASSES,
        f"{usual.fewest_steps:,}",
        f"{usual.most_steps:,}",
    )
    log.info(
        "%s, %s: about %.2g s a step, %s with samples and validation; peak memory about %.1f GB",
        hardware.name,
        hardware.precision.value,
        cost.pass_s * trainer.accumulate,
        duration(
            predicted_s(config, cost, min(len(encoded.held_out) or num_sprites, config.validation.limit), first_step)
        ),
        cost.peak_gb,
    )


def passes_over_each(seen: float, times: Sequence[int]) -> str:
    """The times each subject is seen when `seen` are drawn: one number, or the least and the most.

    `times`: of each, how often a pass over the set draws it.
    """
    least, most = (f"{seen * n / sum(times):.0f}" for n in (min(times), max(times)))
    return least if least == most else f"{least} to {most}"


def predicted_s(config: TrainConfig, cost: StepCost, num_validation: int, first_step: int) -> float:
    """Seconds that training, validation losses and samples will take from `first_step` on, by the cost of a pass."""
    trainer, sampler = config.trainer, config.sampler
    training = (trainer.max_steps - first_step) * trainer.accumulate
    num_processes = config.hardware.devices * config.hardware.num_nodes
    forward = cost.forward_s / trainer.batch_size
    images = num_validation * config.validation.bands * config.validation.draws
    validations = _num_events(first_step, trainer.max_steps, trainer.validate_every)
    calls = len(sampler.prompts) * sampler.steps * (2 if sampler.guidance > 1 else 1)
    drawings = _num_events(first_step, trainer.max_steps, trainer.sample_every) if trainer.sample_every else 0
    return training * cost.pass_s + forward * (validations * images / num_processes + drawings * calls)


def _num_events(first_step: int, last_step: int, every: int) -> int:
    """Counts events that come before step 1, every `every` steps (0: not) and at the end, of those yet to come."""
    steps = {*(range(0, last_step, every) if every else [0]), last_step}
    return sum(step > first_step or step == first_step == 0 for step in steps)


def announce_results(run_dir: Path, elapsed_s: float, first_loss: float, last_loss: float, has_samples: bool) -> None:
    """Say where the LoRA, the samples and the metrics are."""
    log.info("done in %s; validation loss %.4f -> %.4f", duration(elapsed_s), first_loss, last_loss)
    log.info("LoRA:    %s", run_dir / "checkpoint_final" / LORA_FILE)
    if has_samples:
        log.info("samples: %s", run_dir / "samples" / "contact_sheet.png")
    log.info("metrics: %s", run_dir / SUMMARY)
