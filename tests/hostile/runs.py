"""Hostile runs, checkpoints and sweeps: records edited by hand, parts of other runs, code in settings, paths upwards."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from tests.conftest import QUICK
from tests.hostile.images import ESCAPES
from tests.hostile.trial import Kind
from tests.weight_files.strangers import STRANGERS, plain

RESUME = ("train.py", "resume={given}/run", "trainer.max_steps=3", "data.cache={shared}/of_runs")
CHECKPOINT = ("train.py", "resume={given}/run/checkpoint_final", "output={out}", "trainer.max_steps=3")
GENERATE = ("scripts/generate.py", "run={given}/run", "output={out}", "sampler.steps=1", "data.cache={shared}/of_runs")
VALIDATE = ("scripts/validate.py", "run={given}/run", "output={out}", "overwrite=true", "num_prompts=0")
COMPARE = ("scripts/compare.py", "runs=[{given}/run]", "output={out}")
EXPORT = ("scripts/export.py", "run={given}/run", "output={out}/x.safetensors", "workflow=true")
SWEEP = ("train.py", "resume={given}/run")

SETTINGS = (
    *QUICK, "trainer.max_steps=2", "trainer.save_every=1", "data.limit=4", "validation.draws=1", "data.holdout=0",
)  # fmt: skip

Change = Callable[[Path], object]
DEEP = '{"a":' * 100_000


def make_run(folder: Path) -> None:
    """A run of two steps."""
    from tests.conftest import ROOT
    from tests.running import run_python

    settings = [*SETTINGS, f"data.cache={folder / 'of_runs'}", f"output={folder / 'run'}"]
    done = run_python(ROOT / "train.py", *settings, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def record(change: Callable[[dict[str, Any]], object], file: str = "run.json") -> Change:
    """The record changed as a stranger may."""

    def apply(run: Path) -> None:
        content = json.loads((run / file).read_text())
        change(content)
        (run / file).write_text(json.dumps(content))

    return apply


def written(name: str, content: str | bytes) -> Change:
    def apply(run: Path) -> None:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return apply


def setting(*path: str, value: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        place = content["settings"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return record(change)


def override(*texts: str) -> Change:
    return record(lambda content: content["overrides"].extend(texts))


def _foreign_checkpoint(run: Path) -> None:
    shutil.copytree(run / "checkpoint_final", run / "checkpoint_step_9")
    record(lambda r: r.update(id="another"), "training_state/run.json")(run / "checkpoint_step_9")
    state = run / "checkpoint_step_9" / "training_state" / "state.json"
    state.write_text(state.read_text().replace('["global_step", 2]', '["global_step", 9]'))


def _foreign_final(run: Path) -> None:
    record(lambda r: r.update(id="another"), "training_state/run.json")(run / "checkpoint_final")


def _link_state(run: Path) -> None:
    shutil.rmtree(run / "checkpoint_final" / "training_state")
    (run / "checkpoint_final" / "training_state").symlink_to("/etc")


RECORDS: dict[str, Change] = {
    "no JSON": written("run.json", "{"),
    "not UTF-8": written("run.json", b"\xff{"),
    "deep": written("run.json", DEEP),
    "a list": written("run.json", "[]"),
    "null": written("run.json", "null"),
    "a folder": lambda run: ((run / "run.json").unlink(), (run / "run.json").mkdir()),
    "no settings": record(lambda r: r.pop("settings")),
    "settings a list": record(lambda r: r.update(settings=[])),
    "settings empty": record(lambda r: r.update(settings={})),
    "overrides a text": record(lambda r: r.update(overrides="logger=csv")),
    "overrides of numbers": record(lambda r: r.update(overrides=[1, None])),
    "overrides of lists": record(lambda r: r.update(overrides=[["logger=csv"]])),
    "no data": record(lambda r: r.pop("data")),
    "data a text": record(lambda r: r.update(data="x")),
    "no model": record(lambda r: r.pop("model")),
    "model null": record(lambda r: r.update(model=None)),
    "weights a list": record(lambda r: r["model"].update(weights=[1])),
    "trainer null": setting("trainer", value=None),
    "steps a text": setting("trainer", "max_steps", value="many"),
    "steps 1e999": setting("trainer", "max_steps", value=1e999),
    "rank null": setting("lora", "rank", value=None),
    "rank a list": setting("lora", "rank", value=[8]),
    "prompts a number": setting("sampler", "prompts", value=5),
    "prompts with escapes": setting("sampler", "prompts", value=[f"{ESCAPES}\nFORGED"]),
    "resolution -8": setting("model", "resolution", value=-8),
    "resolution 2^40": setting("model", "resolution", value=2**40),
    "data.path upwards": setting("data", "path", value="../../../victim"),
    "cache out of it": setting("data", "cache", value="/etc"),
    "a target of code": setting("optim", "_target_", value="os.system"),
}
OVERRIDES: dict[str, Change] = {
    "a callback of Hydra": override("+hydra.callbacks.x._target_=subprocess.Popen", "+hydra.callbacks.x.args=[touch,sprung]"),
    "a logging handler": override("+hydra.job_logging.handlers.x.class=logging.FileHandler", "+hydra.job_logging.handlers.x.filename=../victim/treasure.txt"),
    "another folder": override("hydra.run.dir=../victim/run"),
    "an optimizer of code": override("optim._target_=os.system"),
    "a resolver of the environment": override("name=${oc.env:HOME}"),
    "a setup of a launcher": override("hydra.launcher.setup=[touch sprung]"),
    "a search path": override("hydra.searchpath=[file:///etc]"),
    "an unknown key": override("lora.rnk=8"),
    "5,000 overrides": override(*(f"+x{i}=1" for i in range(5000))),
    "an open bracket": override("sampler.prompts=[a"),
    "an empty text": override(""),
    "escapes": override(f"+{ESCAPES}=1"),
}  # fmt: skip
CHECKPOINTS: dict[str, Change] = {
    "of another run": _foreign_checkpoint,
    "final of another run": _foreign_final,
    "state that is deep": written("checkpoint_final/training_state/state.json", DEEP),
    "state that is a list": written("checkpoint_final/training_state/state.json", "[]"),
    "state of another step": written("checkpoint_final/training_state/state.json", '{"dict": [["global_step", "x"]]}'),
    "state of step 1e999": written("checkpoint_final/training_state/state.json", '{"dict": [["global_step", 1e999]]}'),
    "state not UTF-8": written("checkpoint_final/training_state/state.json", b"\xff"),
    "tensors that are a pickle": written("checkpoint_final/training_state/state.safetensors", STRANGERS["torch"][0]),
    "tensors that are none": written("checkpoint_final/training_state/state.safetensors", b""),
    "state linked to /etc": _link_state,
    "a LoRA that is none": written("checkpoint_final/lora.safetensors", STRANGERS["page"][0]),
    "a LoRA of another layer": lambda run: save_file(plain(), run / "checkpoint_final" / "lora.safetensors"),
}
METRICS: dict[str, Change] = {
    "lines of null": written("metrics.jsonl", "null\n"),
    "lines that are lists": written("metrics.jsonl", "[1]\n"),
    "steps of null": written("metrics.jsonl", '{"step": null, "loss": null}\n'),
    "steps of words": written("metrics.jsonl", '{"step": "x"}\n'),
    "deep lines": written("metrics.jsonl", DEEP + "\n"),
    "not UTF-8": written("metrics.jsonl", b"\xff\xfe\n"),
    "numbers of 5,000 digits": written("metrics.jsonl", '{"step": ' + "9" * 5000 + "}\n"),
    "a summary that is a list": written("training_metrics.json", "[]"),
    "a validation that is a list": written("validation/validation.json", "[]"),
    "a validation that is deep": written("validation/validation.json", DEEP),
    "a validation of strength x": written("validation/validation.json", '{"best_strength": "x", "shown_strength": "x"}'),
    "a job with escapes": written("job.json", json.dumps({"number": 0, "overrides": [], "status": "failed", "started": "", "error": f"{ESCAPES}\nFORGED"})),
}  # fmt: skip


def sweep(**changed: Any) -> Change:
    whole = {"flags": ["-m"], "overrides": [*SETTINGS, "lora.rank=2,4"], "jobs": [[*SETTINGS, "lora.rank=2"]], "objective": "validation_loss", "launched": ""}  # fmt: skip

    def apply(run: Path) -> None:
        shutil.rmtree(run)
        run.mkdir()
        (run / "sweep.json").write_text(json.dumps({**whole, **changed}))

    return apply


SWEEPS: dict[str, Change] = {
    "a list": lambda run: (sweep()(run), (run / "sweep.json").write_text("[]")),
    "deep": lambda run: (sweep()(run), (run / "sweep.json").write_text(DEEP)),
    "overrides a text": sweep(overrides="x"),
    "overrides of numbers": sweep(overrides=[1]),
    "a callback": sweep(overrides=["+hydra.callbacks.x._target_=subprocess.Popen"]),
    "a launcher's setup": sweep(overrides=["hydra/launcher=submitit_local", "hydra.launcher.setup=[touch sprung]"]),
    "a storage out of it": sweep(
        overrides=["hydra/sweeper=optuna", "hydra.sweeper.storage=sqlite:///../victim/hostile.db"]
    ),
    "a configuration's folder": sweep(flags=["--config-dir", "/etc"]),
    "flags of numbers": sweep(flags=[1]),
    "an unknown field": sweep(more=1),
}


def kinds() -> Iterator[Kind]:
    """All kinds about runs and sweeps."""

    def plant(change: Change) -> Change:
        def make(given: Path) -> None:
            shutil.copytree(given.parent.parent / "shared" / "run", given / "run")
            change(given / "run")

        return make

    for name, change in RECORDS.items():
        yield Kind("run's record (resume)", name, plant(change), RESUME, may="either", edits=True)
        yield Kind("run's record (generate)", name, plant(change), GENERATE, may="either")
        yield Kind("run's record (compare)", name, plant(change), COMPARE, may="either")
    for name, change in OVERRIDES.items():
        yield Kind("run's overrides (resume)", name, plant(change), RESUME, may="either", edits=True)
    for name, change in CHECKPOINTS.items():
        yield Kind("checkpoint (resume)", name, plant(change), RESUME, may="either", edits=True)
        yield Kind("checkpoint (export)", name, plant(change), EXPORT, may="either")
    for name, change in METRICS.items():
        yield Kind("run's figures (compare)", name, plant(change), COMPARE, may="either")
    for name, change in SWEEPS.items():
        may = "taken" if name == "an unknown field" else "refused"  # a later version may have more
        yield Kind("sweep (resume)", name, plant(change), SWEEP, may=may, edits=True)
        yield Kind("sweep (compare)", name, plant(change), COMPARE, may="either")
