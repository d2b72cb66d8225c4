"""From overrides to a configuration, as Hydra composes it; what its files may compute."""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
import omegaconf
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from spritelora.config.command_line import quote
from spritelora.job_logging import JOB_LOGGING
from spritelora.launchers import gpus_per_job, jobs_at_once

IS_HYDRA_1_3 = hydra.__version__.startswith("1.3")
HYDRA_VERSION: dict[str, Any] = {"version_base": "1.3"} if IS_HYDRA_1_3 else {}
# Our launchers' files set defaults over the plugins' own; that the plugins check them is welcome, here and in workers.
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

_register = getattr(
    OmegaConf, "register_new_resolver" if omegaconf.__version__.startswith("2.3") else "register_resolver"
)
_register("run_dir", lambda default, output: output or default, replace=True)
_register("temp_dir", tempfile.gettempdir, replace=True)
_register("share", lambda share, number: float(f"{share * number:.12g}"), replace=True)
_register("jobs_at_once", jobs_at_once, replace=True)
_register("gpus_per_job", gpus_per_job, replace=True)


ConfigStore.instance().store(group="hydra/job_logging", name="plain", node=JOB_LOGGING)


def compose_config(
    config_dir: Path, name: str, overrides: list[str], more_dirs: Sequence[Path] = (), with_hydra: bool = False
) -> DictConfig:
    """The configuration that overrides give, with options from `more_dirs` too; Hydra's state is left as it was."""
    if more_dirs:
        places = ",".join(quote(f"file://{folder.resolve()}") for folder in more_dirs)
        overrides = [*overrides, f"hydra.searchpath=[{places}]"]
    with hydra.initialize_config_dir(str(config_dir), **HYDRA_VERSION):
        config = hydra.compose(name, overrides, return_hydra_config=with_hydra)
    GlobalHydra.instance().clear()
    return config
