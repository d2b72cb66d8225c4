"""The door's composition without the process around it."""

from collections.abc import Sequence

from spritelora.compose import compose_config
from spritelora.config.command_line import to_grammar
from spritelora.config.resume import replay_overrides
from spritelora.config.schema import TrainConfig
from spritelora.config.strict import load
from tests.conftest import ROOT


def compose(*overrides: str) -> TrainConfig:
    """The checked settings that these overrides give."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    settled = replay_overrides(_last_of_each(overrides), is_multirun=False)
    return load(compose_config(ROOT / "conf", "train", to_grammar(settled, TrainConfig)), TrainConfig)


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    return list({o.partition("=")[0]: o for o in overrides}.values())
