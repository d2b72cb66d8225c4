"""Files that appear whole or not at all, and what goes into those of JSON."""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from spritelora.errors import ConfigError


def write_whole(file: Path, content: str | bytes) -> None:
    """Replace a file's content; a reader, and whoever comes after a kill, sees the old or the new, never a part.

    Text is written as UTF-8. Raises OSError, and leaves the old file and nothing else.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(file)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def check_free(files: Sequence[Path], overwrite: bool) -> None:
    """Raise ConfigError where files are there that must stay."""
    taken = [str(file) for file in files if file.exists()]
    if taken and not overwrite:
        raise ConfigError(f"{', '.join(taken)} exists: name another output=, or replace it with overwrite=true")


def without_nan(value: Any) -> Any:
    """A value for JSON, which has no NaN and no infinity: None stands for them."""
    if isinstance(value, dict):
        return {k: without_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
