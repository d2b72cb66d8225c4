"""The door's composition without the process around it."""

from collections.abc import Sequence

from spritelora.compose import compose_config
from spritelora.config.command_line import CommandLine, begin_entries, force_open_keys, quote_free_text
from spritelora.config.fields import entry_keys, open_keys, text_keys
from spritelora.config.resume import replay_overrides
from spritelora.config.schema import TrainConfig
from spritelora.config.strict import load
from tests.conftest import ROOT


def compose(*overrides: str) -> TrainConfig:
    """The checked settings that these overrides give."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="train_schema", node=TrainConfig)
    settled = force_open_keys(replay_overrides(_last_of_each(overrides), is_multirun=False), open_keys(TrainConfig))
    settled = begin_entries(settled, entry_keys(TrainConfig))
    line = CommandLine([], quote_free_text(settled, text_keys(TrainConfig)))
    return load(compose_config(ROOT / "conf", "train", line.overrides), TrainConfig)


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    return list({o.partition("=")[0]: o for o in overrides}.values())
