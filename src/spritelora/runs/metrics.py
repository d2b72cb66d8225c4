"""The numbers that a run wrote: a line for each event, and a summary at its end."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spritelora import limits
from spritelora.errors import ResumeError
from spritelora.files import JsonObject, parse_json, read_json

LINES, SUMMARY = "metrics.jsonl", "training_metrics.json"


@dataclass(frozen=True)
class Event:
    """The numbers that a run recorded at a step: a line of its metrics."""

    step: int
    values: Mapping[str, float]


def read_events(file: Path) -> list[Event]:
    """The events in the whole lines of a metrics file; a kill can leave half a line at its end.

    No events where there is no such file. Raises ResumeError for any other damage.
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
    events: list[Event] = []
    for number, text in enumerate(whole, 1):
        try:
            events.append(_event(parse_json(text)))
        except ValueError as error:
            raise ResumeError(f"{file}: line {number} is damaged ({error}); correct or remove it") from error
    try:
        return [*events, _event(parse_json(last))] if last.strip() else events
    except ValueError:
        return events


def to_line(event: Event) -> str:
    """The line of an event."""
    return json.dumps({"step": event.step, **event.values}) + "\n"


def series(events: Iterable[Event], name: str) -> list[tuple[int, float]]:
    """The values of one name with their steps."""
    return [(event.step, event.values[name]) for event in events if name in event.values]


def training_time_s(events: Iterable[Event]) -> float | None:
    """Seconds of training steps, over all lives of a run; validation and samples apart. None where none was timed."""
    timed = series(events, "step_time_s")
    steps = [step for step, _ in timed]
    durations = [time_s * (step - before) for (step, time_s), before in zip(timed, [0, *steps], strict=False)]
    return sum(durations) if durations else None


def final_metrics(events: Iterable[Event]) -> dict[str, float]:
    """The figures of a whole run: its best and last validation loss, the time of its steps, and its peak memory."""
    events = list(events)
    losses, peaks = dict(series(events, "validation_loss")), series(events, "peak_gb")
    found: dict[str, float] = {}
    if losses:
        best = min(losses, key=lambda step: losses[step])
        found = {"best_validation_loss": losses[best], "best_step": best, "last_validation_loss": losses[max(losses)]}
    if (time_s := training_time_s(events)) is not None:
        found |= {"training_time_s": time_s, "max_peak_gb": max(peak for _, peak in peaks)}
    return found


def read_sample_means(run_dir: Path) -> Mapping[str, float]:
    """The metrics of the last samples in a run's summary; none where it drew none, or where that is damaged."""
    try:
        samples = cast(Any, read_json(run_dir / SUMMARY)).get("samples", {}).items()
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(name): float(mean) for name, mean in samples if _is_number(mean) and math.isfinite(mean)}


def _event(value: object) -> Event:
    if not isinstance(value, dict):
        raise ValueError("it is no section of names and numbers")
    line = cast(JsonObject, value)
    step = line.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < 2**63:
        raise ValueError(f"step must be a whole number, got {step!r:.40}")
    if wrong := [name for name, number in line.items() if not _is_number(number)]:
        raise ValueError(f"{wrong[0]} must be a number, got {line[wrong[0]]!r:.40}")
    return Event(step, {name: number for name, number in line.items() if name != "step"})


def _is_number(value: object) -> bool:
    """Whether a value is a number that arithmetic can take; a loss may be NaN."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63)
