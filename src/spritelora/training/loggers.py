"""Where a run's numbers and pictures go besides its own folder. Each function opens one Lightning logger."""

import logging
import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from spritelora.errors import TrainingError, first_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunIdentity:
    """Who the run is: its folder, readable name, id (kept over a resume), sweep, and flat settings."""

    run_dir: Path
    name: str
    id: str
    sweep: str | None
    settings: Mapping[str, Any]


def open_wandb(run: RunIdentity, /, *, project: str, entity: str | None = None, tags: Sequence[str] = ()) -> Logger:
    """Weights & Biases; offline where no API key is set. What W&B collects by itself is off."""
    import wandb

    mode = os.environ.get("WANDB_MODE") or ("online" if has_wandb_key() else "offline")
    settings = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_viewer=mode != "online",
    )
    try:
        started = wandb.init(
            name=run.name,
            dir=str(run.run_dir),
            project=project,
            entity=entity,
            id=run.id,
            resume="allow",
            group=run.sweep,
            job_type="train",
            tags=list(tags),
            mode=mode,  # pyright: ignore[reportArgumentType]
            config=dict(run.settings),
            settings=settings,
        )
    except Exception as error:  # W&B raises errors of its own, of HTTP libraries and of pydantic
        raise TrainingError(
            f"W&B cannot start ({first_line(error)}); set WANDB_MODE=offline, or take logger=csv"
        ) from error
    started.define_metric("trainer/global_step")
    started.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    if mode == "offline":
        log.info(
            "W&B run %s is offline (no API key is set); to upload it: wandb sync %s", run.id, Path(started.dir).parent
        )
    return WandbLogger(experiment=started, save_dir=run.run_dir, log_model=False)


def open_csv(run: RunIdentity, /) -> Logger:
    """A table `csv/metrics.csv` in the run's folder."""
    return CSVLogger(run.run_dir, name="csv", version="")


def open_tensorboard(run: RunIdentity, /) -> Logger:
    """Event files for TensorBoard in the run's folder."""
    return TensorBoardLogger(run.run_dir, name="tensorboard", version="")


def has_wandb_key() -> bool:
    """Whether W&B would find an API key: in the environment, or in the netrc file for its host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
