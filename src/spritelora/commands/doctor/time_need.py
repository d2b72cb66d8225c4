"""The time that a run will take, by counted arithmetic and the rate of this device, before its base is here."""

from spritelora.commands.benchmark.random_inputs import random_set
from spritelora.commands.benchmark.training import matrix_rate, tflop_of_forward, tflop_of_pass
from spritelora.commands.train.announce import predicted_s
from spritelora.commands.train.start import settle_by_set
from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import TrainingSet
from spritelora.training.hardware import Hardware
from spritelora.training.memory.need import Geometry, run_shapes
from spritelora.training.memory.prediction import Plan
from spritelora.training.probe import StepCost

SHARE_OF_RATE = 0.5
"""Of the rate of large matrix products: on a CPU SDXL has 0.41 (docs/benchmarks.md), the embedded base 0.7."""


def time_need(
    config: TrainConfig, geometry: Geometry, hardware: Hardware, plan: Plan, sprites: TrainingSet
) -> tuple[float, float]:
    """Seconds of a step, and of the whole run with its validation and samples."""
    config = settle_by_set(config, sprites)
    unet = run_shapes(config, geometry, hardware).make_unet()
    inputs = random_set(geometry.unet, config.model.side_px)
    s_per_tflop = config.trainer.batch_size / (matrix_rate(hardware) * SHARE_OF_RATE)
    forward_s = tflop_of_forward(unet, inputs) * s_per_tflop
    pass_s = tflop_of_pass(unet, inputs, 1) * s_per_tflop + plan.checkpointed * forward_s
    num_validation = min(len(sprites.held_out) or len(sprites.training), config.validation.limit)
    return pass_s * config.trainer.accumulate, predicted_s(config, StepCost(pass_s, forward_s, 0.0), num_validation, 0)
