"""The command line of `scripts/doctor.py`: that of `train`, which it trains nothing of."""

from collections.abc import Sequence

from spritelora.errors import ConfigError

FOLDER = "outputs/doctor/${now:%Y-%m-%d_%H-%M-%S-%f}"


def in_own_folder(overrides: Sequence[str], is_multirun: bool) -> list[str]:
    """The same settings, with a log that is not in the run's folder. Raises ConfigError for a sweep."""
    if is_multirun:
        raise ConfigError("the doctor looks at one run: leave out -m, and give one value for each key")
    return [*overrides, f"hydra.run.dir={FOLDER}", "hydra.job.name=doctor"]
