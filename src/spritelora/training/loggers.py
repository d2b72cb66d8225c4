"""Where a run's numbers and pictures go besides its own folder. Each function opens one Lightning logger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from spritelora.training.logs.wandb_keys import STEP
from spritelora.training.logs.wandb_run import PlannedRun, end_run, send, start_run, upload_file


@dataclass(frozen=True)
class RunIdentity:
    """Who the run is: its folder, readable name, id (kept over a resume), sweep, flat settings, and options typed."""

    run_dir: Path
    name: str
    id: str
    sweep: str | None
    settings: Mapping[str, Any]
    options: Sequence[str] = ()


def open_wandb(
    run: RunIdentity,
    /,
    *,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    job_type: str = "train",
    tags: Sequence[str] = (),
    upload_lora: bool = False,
) -> Logger:
    """Weights & Biases; offline where no API key is set. `group`: unset, the sweep. `tags`: besides typed options.

    `upload_lora`: whether the final LoRA file goes there too, as an artifact.
    """
    planned = PlannedRun(
        folder=run.run_dir,
        project=project,
        entity=entity,
        name=run.name,
        job_type=job_type,
        settings=run.settings,
        id=run.id,
        group=group or run.sweep,
        tags=[*tags, *(o for o in run.options if o not in tags)],
        sweep=run.sweep is not None,
    )
    return TrainingLogger(planned, upload_lora)


class TrainingLogger(WandbLogger):
    """Lightning's W&B logger over a run of ours."""

    def __init__(self, planned: PlannedRun, upload_lora: bool) -> None:
        self.planned, self.upload_lora = planned, upload_lora
        run = start_run(planned)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        super().__init__(experiment=run, save_dir=planned.folder, log_model=False)

    def close(self, lora: Path | None) -> None:
        """End the run. `lora`: the final LoRA file, None where there is none."""
        if lora is not None and self.upload_lora:
            send(lambda: upload_file(self.experiment, lora, "lora"))
        end_run(self.experiment, self.planned)


def open_csv(run: RunIdentity, /) -> Logger:
    """A table `csv/metrics.csv` in the run's folder."""
    return CSVLogger(run.run_dir, name="csv", version="")


def open_tensorboard(run: RunIdentity, /) -> Logger:
    """Event files for TensorBoard in the run's folder."""
    return TensorBoardLogger(run.run_dir, name="tensorboard", version="")
