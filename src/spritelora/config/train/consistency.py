"""Checks of the settings of a training as a whole, before torch is imported."""

from spritelora.config.command_line import CommandLine
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.processes import check_processes
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import ConfigError

PLAIN_KINDS = (AdapterKind.lora, AdapterKind.rslora)
"""Kinds whose change of a layer is up @ down times a number."""


def check_training(config: TrainConfig, line: CommandLine) -> None:
    """Raise ConfigError for settings that cannot be together."""
    check_processes(config, line)
    check_stopping(config)
    check_max_norm(config)


def check_stopping(config: TrainConfig) -> None:
    """Raise ConfigError where the best is asked for and nothing tells which it is."""
    trainer = config.trainer
    asked = [f"trainer.patience={trainer.patience}"] if trainer.patience else []
    asked += ["trainer.keep_best=true"] if trainer.keep_best else []
    if asked and not trainer.validate_every:
        raise ConfigError(f"{' and '.join(asked)} goes by validation losses: set trainer.validate_every above 0")


def check_max_norm(config: TrainConfig) -> None:
    """Raise ConfigError where the norm of a layer's change cannot be limited by scaling its factors."""
    if not config.trainer.max_norm:
        return
    if config.adapter.kind not in PLAIN_KINDS:
        raise ConfigError(
            f"trainer.max_norm scales the two factors of a plain LoRA, and adapter={config.adapter.kind.value} changes "
            f"layers in another way; leave it out, or take adapter=lora"
        )
    if config.optim.is_schedule_free:
        raise ConfigError(
            "trainer.max_norm scales weights after each step, and a schedule-free optimizer keeps an average of them "
            "that would not be scaled; leave it out, or take optim=adamw"
        )
