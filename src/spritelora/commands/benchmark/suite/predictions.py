"""The memory that each timed step is predicted to take, from shapes alone."""

from functools import cache

import torch

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.projection import shapes_of_run
from spritelora.commands.benchmark.suite.parts import PARTS, Setting
from spritelora.commands.benchmark.suite.steps import STEPS, settings_of
from spritelora.commands.benchmark.training import settle_side
from spritelora.config.train.hardware_keys import Precision
from spritelora.embedded.location import embedded_base
from spritelora.sdxl.files.base import find_base
from spritelora.training.hardware import choose_hardware
from spritelora.training.machine import process_memory_bytes
from spritelora.training.memory.need import FULL_SIZE, read_geometry
from spritelora.training.memory.prediction import LOOP_BYTES, Plan, RunShapes
from spritelora.training.memory.tracing import Arithmetic


def predict(setting: Setting) -> Figures:
    """GB of a training step by the name of its part."""
    torch.set_num_threads(1)  # shapes are no arithmetic
    process = process_memory_bytes() + LOOP_BYTES
    is_cuda = choose_hardware(setting.config.device, Precision.auto).device.type == "cuda"
    geometry = read_geometry(find_base(str(embedded_base()))) if setting.is_small else FULL_SIZE

    @cache
    def shapes(arithmetic: Arithmetic) -> RunShapes:
        side_px = settle_side(settings_of("step_1", setting))
        return shapes_of_run(setting.config, geometry, arithmetic, side_px, 0 if is_cuda else process)

    figures: Figures = {}
    for name in (p.name for p in PARTS if p.name in STEPS and (is_cuda or p.needs_card is None)):
        config = settings_of(name, setting)
        hardware = choose_hardware(config.device, config.precision)
        plan = Plan(config.base, float(config.gradient_checkpointing), config.batch_size)
        use = shapes(Arithmetic(hardware.base_dtype, is_cuda)).use(plan)
        figures[name] = {"training_gb": round(use.training / 1e9, 2)}
    return figures
