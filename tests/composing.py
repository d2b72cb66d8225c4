"""The doors' composition without the process around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from spritelora.config.command_line import to_grammar
from spritelora.config.overrides import Overrides
from spritelora.config.strict import load
from spritelora.config.train.schema import TrainConfig
from spritelora.door.command_table import COMMANDS
from spritelora.door.compose import compose_config
from spritelora.runs.resume import replay_overrides
from tests.conftest import ROOT


def compose(*overrides: str) -> TrainConfig:
    """The checked settings that these overrides give."""
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    settled = replay_overrides(_last_of_each(overrides), is_multirun=False)
    return load(compose_config(ROOT / "conf", "train", to_grammar(settled, TrainConfig)), TrainConfig)


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    return list(Overrides(overrides).by_key.values())


@dataclass(frozen=True)
class Door:
    """A command as its script declares it."""

    script: str
    config_dir: Path
    name: str
    schema: type[Any]

    def compose(self, *overrides: str, more_dirs: Sequence[Path] = (), with_hydra: bool = False) -> DictConfig:
        """What Hydra makes of overrides, unchecked."""
        ConfigStore.instance().store(name=f"{self.name}_schema", node=self.schema)
        try:
            return compose_config(self.config_dir, self.name, to_grammar(overrides, self.schema), more_dirs, with_hydra)
        finally:
            GlobalHydra.instance().clear()  # which a composition that fails leaves behind


DOORS = [Door(c.name, c.config_dir, Path(c.options).name, c.schema) for c in COMMANDS.values()]
"""Every command; the doctor has the keys of train."""
