"""Every command: its settings, and the task they go to.

What a task needs is imported when its settings are known to be right, for torch and W&B are slow to import.
"""

from spritelora.config.commands.benchmark import BenchmarkConfig
from spritelora.config.commands.caption import CaptionConfig
from spritelora.config.commands.compare import CompareConfig
from spritelora.config.commands.doctor import in_own_folder
from spritelora.config.commands.export import ExportConfig
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.commands.lora import LoraFilesConfig
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.config.commands.prepare import PrepareConfig
from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.commands.workspace import WorkspaceConfig
from spritelora.config.invocation import Invocation
from spritelora.config.train.consistency import check_training
from spritelora.config.train.schema import TrainConfig
from spritelora.door.cli import command
from spritelora.process import quick_imports
from spritelora.runs.resume import replay_overrides


@command(
    "Make a data set of a folder of game art", "input=art output=datasets/art", "scripts/conf/prepare", PrepareConfig
)
def prepare(config: PrepareConfig, invocation: Invocation) -> None:
    """Read, check, fit and write."""
    from spritelora.commands.prepare.prepare import prepare

    prepare(config, invocation.words)


@command(
    "Write, check or edit the captions of sprites",
    "data.path=FOLDER mode=caption|validate|edit",
    "scripts/conf/caption",
    CaptionConfig,
)
def caption(config: CaptionConfig, invocation: Invocation) -> None:
    """Do what the mode says."""
    from spritelora.commands.caption.caption import caption

    caption(config, invocation.words)


@command(
    "Train one LoRA",
    "lora=rank64 optim=adamw8bit",
    "conf/train",
    TrainConfig,
    rewrite=replay_overrides,
    check=check_training,
    fills_folder=True,
)
def train(config: TrainConfig, invocation: Invocation) -> None:
    """Train in as many processes as asked for."""
    from spritelora.door.torchrun import train

    train(config, invocation)


@command(
    "Say whether a run fits this machine, and what would",
    "preset=balanced lora=rank64",
    "conf/train",
    TrainConfig,
    rewrite=in_own_folder,
)
def doctor(config: TrainConfig, _invocation: Invocation) -> None:
    """Look at the machine, print one table and a verdict."""
    with quick_imports():
        from spritelora.commands.doctor.doctor import examine

    examine(config)


@command(
    "Compare a LoRA with its base model, image by image",
    "run=RUN  or  loras=FILE data.path=FOLDER",
    "scripts/conf/validate",
    ValidateConfig,
)
def validate(config: ValidateConfig, invocation: Invocation) -> None:
    """Draw with base and LoRA, measure, and write the page, the figures and the images."""
    with quick_imports():
        from spritelora.commands.validate.validate import validate

    validate(config, invocation.words)


@command(
    "Compare runs side by side",
    "runs=[RUN_A,RUN_B]  or  runs=SWEEP sort=validation_loss",
    "scripts/conf/compare",
    CompareConfig,
)
def compare(config: CompareConfig, invocation: Invocation) -> None:
    """Gather what runs and LoRA files say of themselves, and write one table and one page."""
    with quick_imports():
        from spritelora.commands.compare.compare import compare

    compare(config, invocation.run_dir, invocation.words)


@command(
    "Draw game-ready sprites from prompts",
    "run=outputs/train/RUN 'prompts=pixel art, red potion'",
    "scripts/conf/generate",
    GenerateConfig,
    fills_folder=True,
)
def generate(config: GenerateConfig, invocation: Invocation) -> None:
    """Draw, find the grid, lock the palette, clear the background, and write native sprites."""
    from spritelora.commands.generate.generate import generate

    generate(config, invocation)


@command(
    "Write a run's LoRA for other programs",
    "run=RUN format=kohya workflow=true",
    "scripts/conf/export",
    ExportConfig,
)
def export(config: ExportConfig, _invocation: Invocation) -> None:
    """Write the file, and a ComfyUI workflow that uses it."""
    with quick_imports():
        from spritelora.commands.export.export import export

    export(config)


@command(
    "Inspect, merge or resize LoRA files",
    "mode=inspect loras=my_lora.safetensors",
    "scripts/conf/lora_files",
    LoraFilesConfig,
)
def lora(config: LoraFilesConfig, _invocation: Invocation) -> None:
    """Do what `mode` says."""
    with quick_imports():
        from spritelora.commands.lora.lora import work_on_files

    work_on_files(config)


@command(
    "Lay out the W&B workspace of a project",
    "project=NAME  or  output=FILE",
    "scripts/conf/workspace",
    WorkspaceConfig,
)
def workspace(config: WorkspaceConfig, invocation: Invocation) -> None:
    """Save the workspace, or write it to a file."""
    from spritelora.commands.workspace.workspace import lay_out

    lay_out(config, invocation.run_dir)


@command(
    "Measure speed and memory",
    "model=tiny batch_size=4  or  mode=sample  or  mode=command",
    "scripts/conf/benchmark",
    BenchmarkConfig,
)
def benchmark(config: BenchmarkConfig, _invocation: Invocation) -> None:
    """Measure, and print one JSON object last."""
    from spritelora.commands.benchmark.benchmark import benchmark

    benchmark(config)


@command("Make the embedded base again", "", "scripts/conf/make_base", MakeBaseConfig)
def make_base(config: MakeBaseConfig, _invocation: Invocation) -> None:
    """Draw sprites, train the tiny SDXL on them, judge it and write its folder."""
    with quick_imports():
        from spritelora.commands.make_base.make_base import make_base

    make_base(config)


COMMANDS = {
    each.name: each
    for each in (
        *(prepare, caption, train, doctor, validate, compare),
        *(generate, export, lora, workspace, benchmark, make_base),
    )
}
