"""The samples of a run as one W&B table that grows with the steps, each image beside the base's."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from spritelora.training.logs.wandb_keys import SAMPLE_TABLE

COLUMNS = ("step", "prompt", "image", "base image")


class SampleTable:
    """Sends rows of a step as they come; `resumed_at`: up to where an earlier life of the run has sent them."""

    def __init__(self, resumed_at: int) -> None:
        self.resumed_at = resumed_at
        self.table: Any = None

    def log(self, logger: WandbLogger, step: int, prompts: Sequence[str], files: Sequence[Path]) -> None:
        """Add the images of a step. `files`: in `step_<number>` beside those of the other steps."""
        import wandb

        if self.table is None:
            self.table = wandb.Table(columns=list(COLUMNS), log_mode="INCREMENTAL")
            if not logger.experiment.resumed:  # W&B itself goes on with the table of a run that its server knows
                self._add(earlier_samples(files, self.resumed_at), prompts)
        self._add([(step, file) for file in files], prompts)
        logger.log_metrics({SAMPLE_TABLE: self.table}, step)  # pyright: ignore[reportArgumentType]

    def _add(self, samples: Sequence[tuple[int, Path]], prompts: Sequence[str]) -> None:
        import wandb

        for number, (step, file) in enumerate(samples):
            base = file.parents[1] / "step_000000" / file.name
            images = (wandb.Image(str(f)) if f.is_file() else None for f in (file, base))
            self.table.add_data(step, prompts[number % len(prompts)], *images)


def earlier_samples(files: Sequence[Path], last_step: int) -> list[tuple[int, Path]]:
    """Samples of the same names from the steps up to `last_step`, whole steps only; none where `last_step` is 0."""
    return list(_earlier(files, last_step)) if last_step else []


def _earlier(files: Sequence[Path], last_step: int) -> Iterator[tuple[int, Path]]:
    for folder in sorted(files[0].parents[1].glob("step_*")):
        step = int(folder.name.removeprefix("step_"))
        found = [folder / file.name for file in files]
        if step <= last_step and all(f.is_file() for f in found):
            yield from ((step, f) for f in found)
