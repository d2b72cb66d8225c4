"""The figures of a suite on disk, as JSON and as tables, whole after each part."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spritelora.commands.benchmark.figures import Figures
from spritelora.commands.benchmark.suite.parts import Part
from spritelora.files import JsonObject, write_whole

FIGURES, TABLES = "figures.json", "tables.md"
STEP_COLUMNS = ("batch_size", "step_s", "images_per_s", "share_of_matrix_rate", "peak_gb")


class Sheet:
    """A row for each part, in the order of the plan, whatever the order in which they end."""

    def __init__(self, folder: Path, device: Mapping[str, Any], parts: Sequence[Part], minutes: float) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._parts = {part.name: part for part in parts}
        self._rows: dict[str, JsonObject] = {
            name: {"part": name, "title": part.title, "state": "not reached"} for name, part in self._parts.items()
        }
        self._head = {"mode": "suite", "minutes": minutes, **device}
        self._write()

    @property
    def figures(self) -> Figures:
        """All that is known so far."""
        return {**self._head, "parts": list(self._rows.values())}

    @property
    def text(self) -> str:
        """The tables, in Markdown."""
        return "\n".join(_tables(self._head, list(self._rows.values()))) + "\n"

    def has(self, name: str) -> bool:
        """Whether a part has its row."""
        return self._rows[name]["state"] != "not reached"

    def record(self, answer: Mapping[str, Any]) -> None:
        """Take in what a part has answered, and write the files."""
        with self._lock:
            self._rows[answer["part"]] |= answer
            self._write()

    def line(self, name: str) -> str:
        """A part in one line, for the log."""
        row = self._rows[name]
        return f"{name}: {row['state']} in {row.get('seconds', 0):.1f} s{_reason(row)}"

    def _write(self) -> None:
        write_whole(self._folder / FIGURES, json.dumps(self.figures, indent=1) + "\n")
        write_whole(self._folder / TABLES, self.text)


def _reason(row: Mapping[str, Any]) -> str:
    return f": {row['reason']}" if "reason" in row else ""


def _tables(head: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in head["libraries"].items())
    yield f"# {head['name']}, {head['memory_gb']} GB"
    yield ""
    yield libraries
    steps = [row for row in rows if row["state"] == "measured" and "step_s" in row["figures"]]
    predicted = next((r["figures"] for r in rows if r["part"] == "predicted" and r["state"] == "measured"), {})
    if steps:
        yield ""
        yield "| step | batch | seconds | images/s | share of matrix rate | peak GB | predicted GB |"
        yield "|---|---|---|---|---|---|---|"
        yield from (_step_row(row, predicted) for row in steps)
    yield ""
    yield "| part | seconds | found |"
    yield "|---|---|---|"
    for row in rows:
        if row not in steps:
            yield f"| {row['title']} | {row.get('seconds', '')} | {_found(row)} |"


def _step_row(row: Mapping[str, Any], predicted: Mapping[str, Any]) -> str:
    figures = row["figures"]
    values = [figures[c]["median"] if c == "step_s" else figures[c] for c in STEP_COLUMNS]
    cells = [row["title"], *map(str, values), str(predicted.get(row["part"], {}).get("training_gb", ""))]
    return f"| {' | '.join(cells)} |"


def _found(row: Mapping[str, Any]) -> str:
    if row["state"] != "measured":
        return f"**{row['state']}**{_reason(row)}".replace("|", "/").replace("\n", " ")
    return "; ".join(_flat(row["figures"]))


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name} {value:.4g}" if isinstance(value, float) else f"{prefix}{name} {value}"
