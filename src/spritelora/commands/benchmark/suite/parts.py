"""The parts of the suite: names, what each measures, in the order in which they run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spritelora.commands.benchmark.figures import Figures
from spritelora.config.commands.benchmark import BenchmarkConfig, SuiteSize
from spritelora.errors import ConfigError


@dataclass(frozen=True)
class Setting:
    """A part's input. `part`: its name. `folder`: the suite's own, for pages. `work`: for what the parts hand on."""

    config: BenchmarkConfig
    folder: Path
    work: Path
    part: str = ""

    @property
    def is_small(self) -> bool:
        """Whether figures of speed are those of the embedded base."""
        return self.config.size is SuiteSize.small


@dataclass(frozen=True)
class Part:
    """One part. `seconds`: about what it takes on a large GPU, `small_s` at size=small on two slow cores.

    `needs_card`: why it measures nothing on a CPU, None where it does. `on_cpu`: it computes on the CPU alone, beside
    the parts that have the device.
    """

    name: str
    title: str
    measure: str
    seconds: float
    small_s: float
    needs_card: str | None = None
    on_cpu: bool = False

    def load(self) -> Callable[[Setting], Figures]:
        """The function that measures it."""
        from importlib import import_module

        module, _, function = self.measure.partition(":")
        return getattr(import_module(f"spritelora.commands.benchmark.suite.{module}"), function)


TWO_FORMATS = "a CPU has no second device to compare with, and trains in fp32 and bf16 alone"
PAGED = "pages move between the memory of a GPU and the machine's"
MEMORY = "a CPU's memory ends by the system's own rules; a test holds that case"
ONE_KERNEL = "a CPU has one attention kernel"
GPU_KERNELS = "launches, copies and waits are a GPU's"
NCCL = "NCCL connects GPUs"

PARTS = (
    Part("matrix", "Matrix rate", "steps:measure_matrix", 3, 3),
    Part("precision", "Losses of 20 steps in each format beside fp32 on the CPU", "numbers:precision", 14, 18),
    Part("step_1", "A step at batch 1", "steps:measure_step", 6, 6),
    Part("step_4", "A step at batch 4", "steps:measure_step", 8, 8),
    Part("quantised", "NF4 and int8 weights beside their definition", "numbers:quantised", 3, 3),
    Part("optimizers", "8-bit and paged AdamW beside 32-bit", "numbers:optimizers", 8, 12),
    Part("attention", "Fused attention beside plain", "numbers:attention", 2, 2),
    Part("compiled", "Compiled blocks beside plain", "numbers:compiled", 15, 25),
    Part("resume", "A run killed and resumed beside an undisturbed one", "runs:resume", 30, 40),
    Part("sigterm", "SIGTERM during a step", "runs:sigterm", 10, 12),
    Part("export", "The LoRA file beside the live model", "numbers:export", 3, 4),
    Part("samples", "Images of one LoRA on the device and on the CPU", "numbers:samples", 6, 5),
    Part("memory", "Out of memory, then the same batch with recomputing", "runs:memory", 20, 0, MEMORY),
    Part("validate", "The page of validate", "runs:validate", 20, 25),
    Part("doctor", "The verdict of doctor", "runs:doctor", 12, 10),
    Part("nccl", "Processes: NCCL in a group of one", "numbers:nccl", 2, 0, NCCL),
    Part("predicted", "Predicted memory of the steps", "predictions:predict", 60, 12, on_cpu=True),
    Part("kernels_1", "Kernels of a step at batch 1", "kernels:profile_step", 7, 0, GPU_KERNELS),
    Part("kernels_4", "Kernels of a step at batch 4", "kernels:profile_step", 9, 0, GPU_KERNELS),
    Part("step_compiled", "A step, blocks compiled", "steps:measure_step", 40, 0,
         "compiling on a CPU takes longer than the suite; the part `compiled` holds its numbers"),
    Part("step_recomputed", "A step with recomputing", "steps:measure_step", 7, 6),
    Part("step_nf4", "A step on an NF4 base", "steps:measure_step", 8, 8),
    Part("step_int8", "A step on an int8 base", "steps:measure_step", 8, 8),
    Part("step_8bit", "A step with adamw8bit", "steps:measure_step", 6, 6),
    Part("step_fp16", "A step in fp16", "steps:measure_step", 6, 0, "a CPU has no fp16 training"),
    Part("whole", "train.py from start to end: 40 steps, adamw8bit, stopped and resumed", "runs:whole", 45, 25),
    Part("step_2", "A step at batch 2", "steps:measure_step", 6, 6),
    Part("step_8", "A step at batch 8", "steps:measure_step", 12, 10),
    Part("sampling", "Images beside a plain pipeline", "steps:measure_images", 25, 8),
    Part("encoding", "Encoding images and captions", "steps:measure_encoding", 10, 3),
    Part("peers", "Other trainers on the same base and images", "runs:peers", 60, 0),
)  # fmt: skip
"""Most telling first."""


def choose_parts(names: Iterable[str]) -> list[Part]:
    """The parts of these names in their order, all where there are none. Raises ConfigError for unknown names."""
    wanted = set(names)
    known = {part.name for part in PARTS}
    if unknown := sorted(wanted - known):
        raise ConfigError(f"parts: unknown {', '.join(unknown)}; the parts are {', '.join(p.name for p in PARTS)}")
    return [part for part in PARTS if not wanted or part.name in wanted]


def reason_to_skip(part: Part, setting: Setting, has_card: bool) -> str | None:
    """Why a part is not measured here, None where it is."""
    if not has_card and part.needs_card is not None:
        return f"needs a card: {part.needs_card}"
    if part.name == "peers" and setting.config.peers is None:
        return "asked for with peers=FOLDER"
    return None
