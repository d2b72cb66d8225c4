"""Compares runs: one table, one page, and the same as CSV and JSON."""

import dataclasses
import difflib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.commands.lora.lora import check_free
from spritelora.commands.validate.wandb_report import log_comparison
from spritelora.commands.validate.write import IMAGES
from spritelora.config.commands.compare import CompareConfig
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.errors import ConfigError, SpriteLoraError, TrainingError
from spritelora.evaluation.comparison import Cell, Row, columns, sort_rows, to_csv
from spritelora.file_names import safe_name, tell_apart
from spritelora.files import write_whole
from spritelora.long_work import going_on
from spritelora.reports.comparison_page import Look, make_page
from spritelora.runs.layout import VALIDATION
from spritelora.runs.record import RunRecord
from spritelora.sprites.names import slug
from spritelora.sprites.pixels.image import Pixels
from spritelora.sweeps.results import differing, label_of, words_of
from spritelora.sweeps.rows import Entry, find_entries, lora_of, read_row, read_rows

log = logging.getLogger(__name__)

PAGE, TABLE, RECORD = "comparison.html", "comparison.csv", "comparison.json"
MOST_PROMPTS = 6
USUAL_ORDER = ("validation_loss", "name")


def compare(config: CompareConfig, run_dir: Path, words: Sequence[str] = ()) -> Path:
    """Gather the rows, validating what has no validation if asked to, and write them. Returns the folder.

    `words`: of the command line.
    """
    output = Path(config.output) if config.output is not None else run_dir
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; name a folder")
    check_free([output / name for name in (PAGE, TABLE, RECORD)], config.overwrite)
    if config.measure and config.validation.prompts_file is not None:
        read_prompts_file(config.validation.prompts_file)  # else each entry would be one that could not be measured
    entries = find_entries(config.runs, config.names)
    folders = validation_folders(entries, output)
    rows = read_rows(entries, folders)
    check_one_base(rows)
    if config.measure:
        wanted = [e.name for e in entries if not (folders[e.name] / VALIDATION).is_file() and lora_of(e) is not None]
        log.info("%d of %d to validate%s", len(wanted), len(entries), ", one after another" if len(wanted) > 1 else "")
        with going_on("compare", words):
            problems = {e.name: _measure(config, e, folders[e.name]) for e in entries}
        rows = [_with_problem(read_row(e, folders[e.name]), problems[e.name]) for e in entries]
    unlike = differences(entries)
    told_apart = {name: words_of(own) or None for name, own in unlike.items()}
    rows = [dataclasses.replace(row, cells={**row.cells, "differs": told_apart.get(row.name)}) for row in rows]
    sort = settle_sort(config.sort, rows)
    rows = sort_rows(rows, sort, config.descending)
    told = weights_note(entries)
    if told is not None:
        log.warning("%s", told)
    look = Look(labels={name: label_of(name, own) for name, own in unlike.items()})
    _write(output, rows, sort, folders, [told] if told else [], look)
    if config.wandb:
        log_comparison(config.project, output, rows, sort, _images(rows, folders))
    for row in rows:
        log.info("%s: %s", row.name, row.cells.get("problem") or row.cells["status"])
    log.info("%d rows by %s: %s", len(rows), sort, output / PAGE)
    return output


def validation_folders(entries: Sequence[Entry], output: Path) -> dict[str, Path]:
    """Where each entry's validation is or would be: of a run its newest, of a file in the comparison's folder."""
    files = [entry for entry in entries if entry.kind != "run"]
    names = tell_apart(safe_name(slug(entry.name) or "lora") for entry in files)
    of_files = {entry.name: output / "validations" / name for entry, name in zip(files, names, strict=True)}
    return {entry.name: of_files.get(entry.name) or _newest_validation(entry) for entry in entries}


def _newest_validation(entry: Entry) -> Path:
    found = [f for f in entry.path.glob(f"*/{VALIDATION}") if f.is_file()]
    return max(found, key=lambda f: f.stat().st_mtime).parent if found else entry.path / "validation"


def check_one_base(rows: Sequence[Row]) -> None:
    """Raise ConfigError where rows are of different base models, whose losses and images do not compare."""
    bases: dict[str, list[str]] = {}
    for row in rows:
        if (base := row.cells.get("base")) is not None:
            bases.setdefault(str(base), []).append(row.name)
    if len(bases) > 1:
        told = "; ".join(f"{base}: {', '.join(names)}" for base, names in bases.items())
        raise ConfigError(f"these are of different base models, so that nothing compares: {told}; give those of one")


def weights_note(entries: Sequence[Entry]) -> str | None:
    """A note where runs were trained on bases of one name whose weights differ; older runs do not tell theirs."""
    by_weights: dict[str, list[str]] = {}
    for entry in entries:
        try:
            weights = RunRecord.read(entry.path).model.weights if entry.kind == "run" else None
        except SpriteLoraError:  # the row says so
            continue
        if weights:
            by_weights.setdefault(json.dumps(weights, sort_keys=True), []).append(entry.name)
    if len(by_weights) < 2:
        return None
    groups = "; ".join(", ".join(names) for names in by_weights.values())
    return f"These runs began from bases with other weights, so that losses and images do not compare: {groups}."


def settle_sort(asked: str | None, rows: Sequence[Row]) -> str:
    """The column to sort by. Raises ConfigError for one that no row has."""
    shown = columns(rows)
    if asked is None:
        return next(column for column in USUAL_ORDER if column in shown)
    if asked not in shown:
        close = difflib.get_close_matches(asked, shown, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(shown)}"
        raise ConfigError(f"sort={asked}: no row has such a column: {hint}")
    return asked


def _measure(config: CompareConfig, entry: Entry, folder: Path) -> str | None:
    """Validate an entry that was not; what went wrong, if anything did."""
    lora = lora_of(entry)
    if (folder / VALIDATION).is_file() or lora is None:
        return None
    from spritelora.commands.validate.validate import validate

    own = {"run": str(entry.path), "loras": []} if entry.kind == "run" else {"run": None, "loras": [str(lora)]}
    log.info("%s: validating", entry.name)
    try:
        validate(dataclasses.replace(config.validation, output=str(folder), **own))
    except SpriteLoraError as error:
        log.error("%s: %s", entry.name, error)
        return f"not validated: {error}"
    return None


def _with_problem(row: Row, problem: str | None) -> Row:
    return row if problem is None else dataclasses.replace(row, cells={**row.cells, "problem": problem})


def _notes(rows: Sequence[Row], told: Sequence[str]) -> list[str]:
    drawn = [row.drawn_as for row in rows if row.drawn_as is not None]
    notes = [*told]
    if not drawn:
        notes.append("None of these has a validation, so there are no metrics of images: measure=true makes them.")
    elif len(set(drawn)) > 1:
        notes.append(
            "Validations differ in their prompts or sampler, so metrics compare only roughly; validate with the same."
        )
    return notes


def differences(entries: Sequence[Entry]) -> dict[str, dict[str, Cell]]:
    """For each run the overrides that the others do not share."""
    typed: dict[str, list[str]] = {}
    for entry in entries:
        with suppress(SpriteLoraError):  # the row says so
            typed[entry.name] = RunRecord.read(entry.path).overrides if entry.kind == "run" else []
    return differing(typed)


def _write(
    output: Path, rows: Sequence[Row], sort: str, folders: Mapping[str, Path], told: Sequence[str], look: Look
) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_whole(output / TABLE, to_csv(rows))
        write_whole(output / RECORD, json.dumps({"sort": sort, "rows": [dict(r.cells) for r in rows]}, indent=1) + "\n")
        write_whole(output / PAGE, make_page(rows, sort, _notes(rows, told), _images(rows, folders), look))
    except OSError as error:
        raise TrainingError(f"{error.filename or output}: {error.strerror}; name another folder: output=") from error


def _images(rows: Sequence[Row], folders: Mapping[str, Path]) -> dict[str, dict[str, Pixels]]:
    """For a few prompts that rows have in common, the image of each at its own best strength, seen and new in turn."""
    images: dict[str, dict[str, Pixels]] = {}
    first = next((row for row in rows if row.drawn_as is not None), None)
    if first is None or first.drawn_as is None:
        return images
    prompts: list[str] = json.loads(first.drawn_as)[1]
    step = max(1, len(prompts) // MOST_PROMPTS)
    for number in range(0, len(prompts), step)[:MOST_PROMPTS]:
        of_row = {row.name: _image(folders[row.name], number) for row in rows if row.drawn_as == first.drawn_as}
        images[f"{prompts[number]} (image {number + 1})"] = {n: i for n, i in of_row.items() if i is not None}
    return images


def _image(folder: Path, number: int) -> Pixels | None:
    strength = json.loads((folder / VALIDATION).read_text(encoding="utf-8"))["shown_strength"]
    file = next((folder / IMAGES / f"{strength:g}").glob(f"{number:02d}_*.png"), None)
    if file is None:
        return None
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
