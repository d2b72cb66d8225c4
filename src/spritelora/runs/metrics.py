"""The numbers that a run wrote: a line for each event, and a summary at its end."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from spritelora import limits
from spritelora.errors import ResumeError
from spritelora.files import parse_json, read_json

LINES, SUMMARY = "metrics.jsonl", "training_metrics.json"


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics file, each with its step and numbers; a kill can leave half a line at its end.

    No lines where there is no such file. Raises ResumeError for any other damage.
    """
    try:
        if not file.exists():
            return []
        limits.METRICS_BYTES.check(file.stat().st_size)
        *whole, last = file.read_bytes().split(b"\n")
    except OSError as error:
        raise ResumeError(f"{file}: cannot be read ({error.strerror}); check its permissions") from error
    except ValueError as error:
        raise ResumeError(f"{file}: {error}") from error
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(whole, 1):
        try:
            lines.append(_line(parse_json(text)))
        except ValueError as error:
            raise ResumeError(f"{file}: line {number} is damaged ({error}); correct or remove it") from error
    try:
        return [*lines, _line(parse_json(last))] if last.strip() else lines
    except ValueError:
        return lines


def read_sample_means(run_dir: Path) -> Mapping[str, float]:
    """The metrics of the last samples in a run's summary; none where it drew none, or where that is damaged."""
    try:
        samples = cast(Any, read_json(run_dir / SUMMARY)).get("samples", {}).items()
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(name): float(mean) for name, mean in samples if _is_number(mean) and math.isfinite(mean)}


def _line(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is no section of names and numbers")
    line = cast(dict[str, Any], value)
    step = line.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**63:
        raise ValueError(f"step must be a whole number, got {step!r:.40}")
    if wrong := [name for name, number in line.items() if not _is_number(number)]:
        raise ValueError(f"{wrong[0]} must be a number, got {line[wrong[0]]!r:.40}")
    return line


def _is_number(value: object) -> bool:
    """Whether a value is a number that arithmetic can take; a loss may be NaN."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)
