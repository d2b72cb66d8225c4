"""The memory that each timed step is predicted to take, from shapes alone."""

from collections.abc import Callable

import torch

from spritelora.config.hardware_keys import Precision
from spritelora.tasks.benchmark_project import shapes_of_run
from spritelora.tasks.suite.parts import Figures, Setting
from spritelora.tasks.suite.steps import STEPS, settings_of
from spritelora.training.hardware import BASE_DTYPE
from spritelora.training.memory import Plan


def predict(setting: Setting) -> Figures:
    """GB of a training step on a GPU by the name of its part; SDXL's at full size, whatever the suite's size is."""
    known: dict[str, int] = {}
    torch.set_num_threads(1)  # shapes are no arithmetic

    def remember(name: str, compute: Callable[[], int]) -> int:
        if name not in known:
            known[name] = compute()
        return known[name]

    run = shapes_of_run(setting.config, BASE_DTYPE[Precision.bf16], remember)
    names = [n for n in STEPS if n in ("step_1", "step_4")] if setting.is_small else list(STEPS)
    figures: Figures = {}
    for name in names:
        config = settings_of(name, setting)
        use = run.use(Plan(config.base, float(config.gradient_checkpointing), config.batch_size))
        figures[name] = {"training_gb": round(use.training / 1e9, 2)}
    return figures
