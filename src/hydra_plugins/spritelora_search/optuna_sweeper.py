"""`hydra/sweeper=optuna`: a search over settings that prunes, resumes, and is shared by several workers.

The released hydra-optuna-sweeper wants Optuna 2 (1.3.0) or a Hydra that is not released (1.4.0rc3), hands the job no
trial to prune by, and runs all trials again in a study that goes on.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class OptunaSweeperConf:
    """Settings of a search.

    `study_name`: within the storage. `storage`: a database URL or `journal:FILE`; unset: study.db in the sweep's
    folder. `n_trials`: of the whole study, those of earlier starts and of other workers too. `n_jobs`: trials that
    the launcher gets at once. `sampler`: tpe, random. `seed`: of the sampler. `pruner`: median, hyperband, none.
    `startup_trials`, `warmup_steps`: trials, and steps of each trial, that come before pruning by the median.
    `direction`: minimise, maximise. `params`: what is searched, as on the command line; for experiment files.
    """

    _target_: str = "hydra_plugins.spritelora_search.optuna_sweeper.OptunaSweeper"
    study_name: str = "spritelora"
    storage: str | None = None
    n_trials: int = 20
    n_jobs: int = 1
    sampler: str = "tpe"
    seed: int = 0
    pruner: str = "median"
    startup_trials: int = 5
    warmup_steps: int = 0
    direction: str = "minimise"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="spritelora")


class OptunaSweeper(Sweeper):
    """Asks Optuna for settings, has them trained, and tells Optuna how it went."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> float:
        """Run the study to its end. Returns the best value."""
        from spritelora.sweeps.search import SearchSettings, search

        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        return search(
            SearchSettings(**self.settings), arguments, self.config, self.hydra_context.config_loader, self.launcher
        )
