"""`scripts/export.py`: train, export to each form, load elsewhere, the same numbers; a workflow; and mistakes."""

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import PeftModel
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spritelora.adapters.files.lora_file import Form, read_lora_file
from spritelora.adapters.files.lowrank import distance, full_delta
from spritelora.commands.export.export import export, settle_output
from spritelora.commands.train.train import train
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.config.invocation import Invocation
from spritelora.config.train.adapter_keys import SaveDtype
from spritelora.errors import ConfigError, SpriteLoraError, WeightsError
from spritelora.sdxl.files.base import load_unet
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.bounds import assert_same_function, size_error
from tests.composing import compose
from tests.conftest import QUICK
from tests.records import write_record
from tests.running import Ready, either_start, run_python
from tests.weight_files.strangers import plain

pytestmark = pytest.mark.numeric

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def trained_run(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps with rank 4, alpha 2 and a sample."""
    folder = tmp_path_factory.mktemp("trained") / "gems"
    folder.mkdir()
    steps = ("trainer.max_steps=2", "trainer.sample_every=2", "trainer.save_every=1", "optim.lr=0.01")
    overrides = (*QUICK, f"data.cache={cache}", *steps, "lora.rank=4", "lora.alpha=2", "sampler.seed=7")
    train(compose(*overrides), Invocation(folder, overrides))
    return folder


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of that run, to write into."""
    return Path(shutil.copytree(trained_run, tmp_path / "gems"))


def live_output(base, run: Path) -> torch.Tensor:
    """What the UNet says in float64 with the trained numbers of the training state added to its weights."""
    unet = load_unet(base, torch.float64)
    state = load_file(run / "checkpoint_final" / "training_state" / "state.safetensors")
    for name in [k for k in state if k.startswith("/state_dict/") and "lora_A" in k]:
        down, up = state[name].double(), state[name.replace("lora_A", "lora_B")].double()
        path = name.removeprefix("/state_dict/unet.").partition(".lora_A")[0]
        unet.get_submodule(path).weight.data += (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:]) / 2  # pyright: ignore
    return call(unet)


def test_train_export_load_and_draw_the_same(base, run: Path) -> None:
    """In all forms with alpha half the rank; fp32 gives the trained numbers, not those that the run's fp16 file has."""
    ours, plain = live_output(base, run), call(load_unet(base, torch.float64))
    assert (ours - plain).abs().max() > 1e-2
    for form in LoraFormat:
        export(ExportConfig(run=str(run), format=form, dtype=SaveDtype.fp32))
        unet = load_unet(base, torch.float32)
        if form is LoraFormat.peft:
            unet = PeftModel.from_pretrained(unet, str(run / "export" / "gems_peft"))  # pyright: ignore
        else:
            name = {LoraFormat.kohya: "gems.safetensors", LoraFormat.diffusers: "gems_diffusers.safetensors"}[form]
            pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, unet=unet)
            pipeline.load_lora_weights(str(run / "export"), weight_name=name)
        assert_same_function(call_in_float64(unet), ours)


def test_numbers_and_metadata(run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    Image.new("RGB", (1024, 512), (255, 0, 0)).save(picture)
    export(ExportConfig(run=str(run), output=str(tmp_path / "gem.safetensors"), thumbnail=str(picture), title="Gems"))
    saved, written = (
        read_lora_file(f) for f in (run / "checkpoint_final/lora.safetensors", tmp_path / "gem.safetensors")
    )
    assert all(torch.equal(written.modules[n].up, change.up) for n, change in saved.modules.items())
    metadata = written.metadata
    assert (metadata["modelspec.title"], metadata["ss_output_name"]) == ("Gems", "Gems")
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "2.0")
    assert metadata["modelspec.trigger_phrase"] == "pixel art"  # every caption of the demo set begins so
    kind, _, data = metadata["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert (small.size, small.getpixel((3, 3))) == ((256, 128), (255, 0, 0))


def test_the_thumbnail_is_the_last_sample_unless_told(run: Path) -> None:
    with Image.open(next((run / "samples" / "step_000002").glob("*.png"))) as sample:
        expected = sample.convert("RGB").tobytes()
    export(ExportConfig(run=str(run)))
    url = read_lora_file(run / "export" / "gems.safetensors").metadata["modelspec.thumbnail"]
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        assert picture.tobytes() == expected
    export(ExportConfig(run=str(run), overwrite=True, thumbnail="none", trigger="gemstyle"))
    metadata = read_lora_file(run / "export" / "gems.safetensors").metadata
    assert "modelspec.thumbnail" not in metadata
    assert metadata["modelspec.trigger_phrase"] == "gemstyle"


def test_the_workflow_is_the_runs(run: Path) -> None:
    config = ExportConfig(run=str(run), workflow=True, trigger="pixel art, gemstyle", loras=["items.safetensors"])
    export(config)
    prompt = json.loads((run / "export" / "gems.api.json").read_text())
    nodes = {node["class_type"]: node["inputs"] for node in reversed(prompt.values())}
    assert nodes["LoraLoader"]["lora_name"] == "gems.safetensors"
    assert [nodes["LoraLoader"][f"strength_{part}"] for part in ("model", "clip")] == [0.8, 0.8]
    assert nodes["CLIPTextEncode"]["text"] == "gemstyle, pixel art, red potion"
    assert (nodes["KSampler"]["seed"], nodes["KSampler"]["steps"], nodes["KSampler"]["cfg"]) == (7, 2, 2.0)
    assert nodes["KSampler"]["scheduler"] == "ddim_uniform"
    assert (nodes["EmptyLatentImage"]["width"], nodes["ImageScale"]["width"]) == (128, 16)
    window = json.loads((run / "export" / "gems.workflow.json").read_text())
    assert [n["type"] for n in window["nodes"]] == [n["class_type"] for n in prompt.values()]
    assert [n["type"] for n in window["nodes"]].count("LoraLoader") == 2


@pytest.mark.parametrize(
    ("base_name", "settings", "expected"),
    [
        ("ponyXL_v6.safetensors", {}, "ponyXL_v6.safetensors"),
        ("stabilityai/stable-diffusion-xl-base-1.0", {}, "sd_xl_base_1.0.safetensors"),
        ("someone/other-xl", {}, "choose the file of someone/other-xl"),
        ("my-diffusers-folder", {}, "choose the file of my-diffusers-folder"),
        (None, {}, "choose the file of tiny-sdxl"),
        ("my-diffusers-folder", {"checkpoint": "mine.safetensors"}, "mine.safetensors"),
    ],
)
def test_the_workflow_names_the_runs_own_base(
    run: Path, caplog: pytest.LogCaptureFixture, base_name: str | None, settings: dict[str, str], expected: str
) -> None:
    """Where that is no single file, the log says what to do; None: a file that does not say its base."""
    (run / "checkpoint_final" / "training_state" / "state.safetensors").unlink()
    save_file(
        plain(), run / "checkpoint_final" / "lora.safetensors", {"ss_sd_model_name": base_name} if base_name else {}
    )
    export(ExportConfig(run=str(run), workflow=True, thumbnail="none", **settings))
    for form, field in (("api", "inputs"), ("workflow", "widgets_values")):
        content = json.loads((run / "export" / f"lora.{form}.json").read_text())
        nodes = content["nodes"] if "nodes" in content else content.values()
        values = next(n[field] for n in nodes if n.get("class_type", n.get("type")) == "CheckpointLoaderSimple")
        assert values in ({"ckpt_name": expected}, [expected])
    is_told = "ComfyUI loads single files; or export again with checkpoint=NAME.safetensors" in caplog.text
    assert is_told == expected.startswith("choose")


def test_the_strength_is_the_one_that_validated_best(run: Path) -> None:
    (run / "validation").mkdir()
    (run / "validation" / "validation.json").write_text('{"best_strength": 1.2}')
    for changes, expected in (({}, 1.2), ({"strength": 0.6}, 0.6)):
        export(ExportConfig(run=str(run), workflow=True, overwrite=True, **changes))
        assert f'"strength_model": {expected}' in (run / "export" / "gems.api.json").read_text()
    (run / "validation" / "validation.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"validation.json: not a record of a validation .*set strength="):
        export(ExportConfig(run=str(run), workflow=True, overwrite=True))


def test_a_checkpoint_and_one_without_its_state(run: Path, tmp_path: Path) -> None:
    export(ExportConfig(run=str(run / "checkpoint_step_1"), output=str(tmp_path / "a.safetensors")))
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata()["ss_steps"] == "1"
    (run / "checkpoint_final" / "training_state" / "state.safetensors").unlink()
    export(ExportConfig(run=str(run / "checkpoint_final"), output=str(tmp_path / "b.safetensors")))
    saved = read_lora_file(run / "checkpoint_final" / "lora.safetensors")
    written = read_lora_file(tmp_path / "b.safetensors")
    assert written.form is Form.kohya
    assert all(distance(written.modules[n], c) <= size_error(c, c) for n, c in saved.modules.items())
    assert any(full_delta(change).any() for change in saved.modules.values())


def test_a_state_of_another_adapter_is_not_exported(run: Path) -> None:
    state = run / "checkpoint_final" / "training_state" / "state.safetensors"
    save_file({"x": torch.ones(1)}, state)
    with pytest.raises(WeightsError, match=r"state.safetensors: does not hold the weights of lora.safetensors"):
        export(ExportConfig(run=str(run)))


def test_a_lora_for_another_base_in_a_checkpoint(run: Path) -> None:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {f"{name}.lora_down.weight": torch.ones(4, 768), f"{name}.lora_up.weight": torch.ones(320, 4)}
    save_file(tensors, run / "checkpoint_final" / "lora.safetensors")
    with pytest.raises(WeightsError, match=r"a LoRA for SD 1.5, not for SDXL"):
        export(ExportConfig(run=str(run)))


def empty_run(folder: Path) -> None:
    write_record(folder)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: folder.rmdir(), "no such folder; give a run folder or one of its checkpoints"),
        (lambda _: None, r"neither a run folder \(run.json\) nor a checkpoint \(lora.safetensors\)"),
        (empty_run, "the run has no checkpoint yet, so there is no LoRA to take"),
    ],
)
def test_a_run_without_a_lora(tmp_path: Path, prepare: Change, message: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(ConfigError, match=rf"run={folder}: {message}"):
        export(ExportConfig(run=str(folder)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": "lora.ckpt"}, r"the name of a LoRA file ends in .safetensors"),
        ({"factor": 48}, "factor=48 does not divide the 128 pixels of a side"),
        ({"loras": ["a"], "lora_strengths": [0.5, 0.6]}, "lora_strengths has 2 numbers for 1 loras"),
        ({"thumbnail": "pyproject.toml"}, "thumbnail=pyproject.toml: not a picture"),
    ],
)
def test_settings_that_do_not_fit(run: Path, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export(ExportConfig(run=str(run), workflow=True, **changes))
    assert not (run / "export").exists()


def test_nothing_is_overwritten_unasked(run: Path) -> None:
    (run / "export").mkdir()
    (run / "export" / "gems.api.json").write_text("mine")
    with pytest.raises(SpriteLoraError, match=r"gems.api.json exists: name another output=, or .* overwrite=true"):
        export(ExportConfig(run=str(run), workflow=True))
    assert {p.name for p in (run / "export").iterdir()} == {"gems.api.json"}
    export(ExportConfig(run=str(run)))


def test_what_keeps_a_workflow_from_working_is_said(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    export(ExportConfig(run=str(run), format=LoraFormat.diffusers))
    other = run / "export" / "gems_diffusers.safetensors"
    export(ExportConfig(run=str(run), format=LoraFormat.peft, workflow=True, loras=[str(other)]))
    assert "ComfyUI does not load all of format=peft" in caplog.text
    assert "of which ComfyUI and A1111 have no checkpoint" in caplog.text
    assert f"{other}: ComfyUI would pass over" in caplog.text


@either_start
def test_the_command(run: Path, tmp_path: Path, ready: Ready) -> None:
    command = ["scripts/export.py", f"run={run}", f"output={tmp_path / 'new.safetensors'}"]
    done = run_python(*command, "workflow=true", "prompt=a, b", ready=ready)
    assert done.returncode == 0, done.stderr
    told = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    fits_no_other = "this LoRA fits the embedded base alone, of which ComfyUI and A1111 have no checkpoint"
    assert told == [f"{tmp_path / 'new.safetensors'}", fits_no_other, f"{tmp_path / 'new.workflow.json'}"]
    assert f"generate.py run={run}; for a LoRA that they take, train with model=sdxl" in done.stderr
    assert "drag it" not in done.stderr
    assert done.stdout == ""
    assert {p.name for p in tmp_path.glob("new*")} == {"new.safetensors", "new.workflow.json", "new.api.json"}


@pytest.mark.parametrize(("title", "stem"), [("aux", "aux_"), ("../../x", "_._.._x"), ("v1: final", "v1_ final")])
def test_a_title_makes_a_file_that_every_system_has(title: str, stem: str, tmp_path: Path) -> None:
    output = settle_output(ExportConfig(run="run"), tmp_path, title)
    assert output == tmp_path / "export" / f"{stem}.safetensors"
