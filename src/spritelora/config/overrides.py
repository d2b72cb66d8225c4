"""`key=value` as typed: its key, and the value as the user means it."""

from collections.abc import Sequence
from pathlib import Path

from spritelora.config.free_text import unquote
from spritelora.config.places import expand_home
from spritelora.errors import ConfigError


def override_key(override: str) -> str:
    """The key that an override sets."""
    return override.partition("=")[0].lstrip("+~")


def typed_place(overrides: Sequence[str], key: str) -> Path | None:
    """The path that the last override of `key` gives it; None where it is unset.

    For what is read before Hydra composes. Raises ConfigError for a home folder that is not known.
    """
    values = [unquote(o.partition("=")[2]) for o in overrides if override_key(o) == key]
    if not values or values[-1] in ("", "null"):
        return None
    try:
        return Path(expand_home(values[-1]))
    except ConfigError as error:
        raise ConfigError(f"{key}={error}") from error
