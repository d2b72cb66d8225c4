"""From overrides to a configuration, as Hydra composes it; what its files may compute."""

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import hydra
import omegaconf
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, flag_override

from spritelora.config.free_text import quote
from spritelora.config.overrides import Overrides
from spritelora.config.places import expand_home
from spritelora.config.plain import section_of
from spritelora.config.values import empty_problem
from spritelora.door.job_logging import JOB_LOGGING
from spritelora.door.launchers import gpus_per_job, jobs_at_once
from spritelora.door.own_options import OwnOptions, check_folder, check_hydra, choices_of
from spritelora.errors import ConfigError

IS_HYDRA_1_3 = hydra.__version__.startswith("1.3")
HYDRA_VERSION: dict[str, str] = {"version_base": "1.3"} if IS_HYDRA_1_3 else {}
# Our launchers' files set defaults over the plugins' own; that the plugins check them is welcome, here and in workers.
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

_register = getattr(
    OmegaConf, "register_new_resolver" if omegaconf.__version__.startswith("2.3") else "register_resolver"
)
_register("place", expand_home, replace=True)
_register("run_dir", lambda default, output: expand_home(output) if output else default, replace=True)
_register("temp_dir", tempfile.gettempdir, replace=True)
_register("share", lambda share, number: float(f"{share * number:.12g}"), replace=True)
_register("jobs_at_once", jobs_at_once, replace=True)
_register("gpus_per_job", gpus_per_job, replace=True)


ConfigStore.instance().store(group="hydra/job_logging", name="plain", node=JOB_LOGGING)


def compose_config(
    config_dir: Path, name: str, overrides: Sequence[str], more_dirs: Sequence[Path] = (), with_hydra: bool = False
) -> DictConfig:
    """The configuration that overrides give, with options from `more_dirs` too; Hydra's state is left as it was.

    Raises ConfigError for files in `more_dirs` that do more than give settings, or name one another without end.
    """
    with hydra.initialize_config_dir(str(config_dir), **HYDRA_VERSION):
        try:
            if not more_dirs:
                return hydra.compose(name, [*overrides], return_hydra_config=with_hydra)
            whole = hydra.compose(name, [*overrides, *search_path(more_dirs)], return_hydra_config=True)
            others = [o for o in Overrides(overrides).without("hydra/launcher", "hydra/sweeper") if o.is_hydras]
            plain = hydra.compose(name, [*others, *choices_of(whole)], return_hydra_config=True)
        except RecursionError as error:
            folders = ", ".join(map(str, more_dirs))
            raise ConfigError(
                f"--config-dir={folders}: options there name themselves, or one another, in their defaults; remove one "
                f"of those lines"
            ) from error
        finally:
            GlobalHydra.instance().clear()
    check_hydra(whole, plain)
    return whole if with_hydra else without_hydra(whole)


def search_path(folders: Sequence[Path]) -> list[str]:
    """The override by which Hydra finds options of the user's own, read by `OwnOptions`; none without any."""
    if not folders:
        return []
    for folder in folders:
        check_folder(folder)
    SourcesRegistry.instance().register(OwnOptions)
    places = ",".join(quote(f"{OwnOptions.scheme()}://{folder.resolve()}") for folder in folders)
    return [f"hydra.searchpath=[{places}]"]


def without_hydra(config: DictConfig) -> DictConfig:
    """The configuration without Hydra's own part."""
    own = config.copy()
    with flag_override(own, ["struct", "readonly"], False):
        own.pop("hydra", None)
    return own


def folders_in_home(config: DictConfig) -> list[str]:
    """Overrides that give the folders that Hydra makes the home folder that `~` stands for, where they begin with it.

    `config`: with Hydra's own part. Raises ConfigError for an empty folder.
    """
    overrides: list[str] = []
    for key in ("hydra.run.dir", "hydra.sweep.dir"):
        section, _, name = key.rpartition(".")
        folders = section_of(OmegaConf.select(config, section))
        folder = str(folders[name])
        if not folder.strip():
            raise ConfigError(empty_problem(key, "leave it out"))
        if folder.startswith("~"):
            overrides.append(f"{key}={quote(expand_home(folder))}".replace("\\${", "${"))  # interpolations stay such
    return overrides
