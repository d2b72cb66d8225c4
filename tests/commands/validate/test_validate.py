"""`scripts/validate.py`: a short run against its base, LoRAs that change nothing, and mistakes."""

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.commands.generate.generate import generate
from spritelora.commands.validate.settings import choose_prompts
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.generate import BaseConfig, GenerateConfig
from spritelora.config.commands.validate import ValidateConfig, ValidatedData, ValidationSampler
from spritelora.config.invocation import Invocation
from spritelora.data.training_set import demo_folder
from spritelora.drawing.kept_images import KeptImages
from spritelora.errors import ConfigError, DatasetError, SpriteLoraError, WeightsError
from spritelora.evaluation.registry import METRICS
from spritelora.evaluation.validation_record import best_strength_of
from spritelora.sdxl.sample import start_noise
from tests.bounds import assert_same_pictures
from tests.commands.conftest import train_short
from tests.conftest import ROOT
from tests.running import Ready, either_start, run_python

QUICK = ValidateConfig(
    strengths=[0.5, 1.0], num_prompts=3, sampler=ValidationSampler(steps=2, guidance=1.5), batch_size=4
)


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "validation.json").read_text())


def images_of(folder: Path, name: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(file)) for file in sorted((folder / "images" / name).glob("*.png"))]


@pytest.fixture(scope="module")
def validated(short_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return validate(replace(QUICK, run=str(short_run), output=str(tmp_path_factory.mktemp("validated") / "greens")))


def test_what_it_writes_tells_no_folder_of_this_machine(validated: Path, short_run: Path) -> None:
    settings = record_of(validated)["settings"]
    assert settings["run"] == short_run.name
    assert settings["lora"] == ["checkpoint_final/lora.safetensors"]
    assert settings["model"] == "tiny-sdxl"
    for name in ("validation.json", "validation.html"):
        text = (validated / name).read_text(encoding="utf-8")
        assert not [place for place in (ROOT, short_run.parent, validated.parent) if str(place) in text]


def test_it_writes_a_record_images_and_a_page(validated: Path) -> None:
    record = record_of(validated)
    assert record["best_strength"] in (0.5, 1.0)
    assert set(record["metrics"]) == set(METRICS) - {"clip"}
    assert set(record["metrics"]["off_grid"]["by_strength"]) == {"0.5", "1"}
    seen = [p["seen"] for p in record["prompts"]]
    assert seen == [True] * 3 + [False] * (len(seen) - 3)
    assert len(seen) > 3
    assert record["settings"]["steps"] == 2
    assert record["settings"]["data"]["note"] is None
    for name in ("base", "0.5", "1"):
        assert [i.shape for i in images_of(validated, name)] == [(128, 128, 3)] * len(seen)
    page = (validated / "validation.html").read_text()
    assert page.index("Does it match your style?") < page.index("Prompts it was trained on")
    assert page.index("Prompts it was trained on") < page.index("<h2>New prompts")


def test_a_stopped_validation_goes_on_to_the_page_of_an_undisturbed_one(
    validated: Path, short_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    output = tmp_path / validated.name
    config = replace(QUICK, run=str(short_run), output=str(output))
    with interrupted_at(output / ".drawn" / "0.5" / "00000.png"), pytest.raises(KeyboardInterrupt):
        validate(config, (f"run={short_run}",))
    assert re.search(r"stopped; (\d+) of \d+ images are kept\. To continue, type: .*validate.* run=", caplog.text)
    drawn = {file: file.stat().st_mtime_ns for file in (output / ".drawn").rglob("*.png")}
    assert drawn
    with pytest.raises(KeyboardInterrupt), interrupted_at(output / ".drawn" / "1" / "00000.png"):
        validate(config)
    assert {file: file.stat().st_mtime_ns for file in drawn} == drawn
    validate(config)
    assert not (output / ".drawn").exists()
    assert not list(output.glob(".*unfinished"))
    undisturbed, resumed = ({**record_of(f), "settings": None} for f in (validated, output))
    assert resumed == undisturbed
    pages = [
        re.sub(r"<dt>elapsed s</dt><dd>.*?</dd>", "", (f / "validation.html").read_text()) for f in (validated, output)
    ]
    assert pages[0] == pages[1]


def test_kept_images_of_another_lora_or_sampler_are_drawn_anew(tmp_path: Path) -> None:
    begun: list[int] = []
    image = np.zeros((8, 8, 3), np.uint8)
    first = KeptImages(tmp_path, {"lora": "a"}, lambda: begun.append(1), "the same command")
    assert not (tmp_path / ".drawn").exists()
    first.keep(1.0, 0, [image, image])
    assert len(KeptImages(tmp_path, {"lora": "a"}, lambda: begun.append(2), "").images(1.0, 9)) == 2
    assert KeptImages(tmp_path, {"lora": "b"}, lambda: begun.append(3), "").images(1.0, 9) == []
    assert begun == [1]


@contextmanager
def interrupted_at(file: Path) -> Iterator[None]:
    """Ctrl-C once a file is there, or the block has ended."""
    ended = threading.Event()

    def watch() -> None:
        while not file.exists() and not ended.is_set():
            time.sleep(0.001)
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


@pytest.mark.numeric
def test_the_lora_changes_the_images_and_base_and_lora_share_their_noise(validated: Path, own_run: Path) -> None:
    """A strength so small that it changes nothing to see gives the base's images: same noise, prompts and sampler."""
    base, whole = images_of(validated, "base"), images_of(validated, "1")
    assert all((b != w).any() for b, w in zip(base, whole, strict=True))
    faint = validate(replace(QUICK, run=str(own_run), strength=1e-6))
    assert_same_pictures(images_of(faint, "1e-06"), images_of(faint, "base"))
    assert best_strength_of(own_run) is None or best_strength_of(own_run) == 1e-6


@pytest.mark.numeric
def test_batches_and_order_of_strengths_change_nothing(validated: Path, own_run: Path) -> None:
    again = validate(replace(QUICK, run=str(own_run), strengths=[1.0, 0.5], batch_size=1))
    for name in ("base", "0.5", "1"):
        assert_same_pictures(images_of(again, name), images_of(validated, name))


@pytest.mark.numeric
def test_the_images_are_those_of_a_plain_diffusers_pipeline(validated: Path, short_run: Path, base) -> None:
    from diffusers import StableDiffusionXLPipeline

    prompts = [p["prompt"] for p in record_of(validated)["prompts"]]
    pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def theirs() -> np.ndarray:
        noise = start_noise(0, len(prompts), 128)
        drawn = pipeline(
            prompts, num_inference_steps=2, guidance_scale=1.5, height=128, width=128, latents=noise, output_type="np"
        )
        return (drawn.images * 255).round()

    assert_same_pictures(theirs(), images_of(validated, "base"))
    pipeline.load_lora_weights(short_run / "checkpoint_final", weight_name="lora.safetensors")
    assert_same_pictures(theirs(), images_of(validated, "1"))


@pytest.mark.numeric
def test_a_lora_whose_up_is_zero_is_the_base(own_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = own_run / "checkpoint_final" / "lora.safetensors"
    tensors = {n: torch.zeros_like(t) if n.endswith("lora_up.weight") else t for n, t in load_file(file).items()}
    save_file(tensors, file, metadata=dict(read_lora_file(file).metadata))
    folder = validate(replace(QUICK, run=str(own_run), strengths=[0.5], images_per_prompt=2))
    record = record_of(folder)
    assert record["best_strength"] is None
    assert "the LoRA changes nothing" in caplog.text
    for ours, theirs in zip(images_of(folder, "0.5"), images_of(folder, "base"), strict=True):
        assert np.array_equal(ours, theirs)
    for metric in record["metrics"].values():
        for found in (by["against_base"] for by in metric["by_strength"].values()):
            assert found["num_pairs"] == 0 or found["low"] <= 0 <= found["high"]


def test_a_file_alone_needs_its_sprites_and_nothing_else(short_run: Path, tmp_path: Path, cache: Path) -> None:
    file = short_run / "checkpoint_final" / "lora.safetensors"
    alone = replace(
        QUICK, loras=[str(file), str(file)], lora_strengths=[0.5, 0.5], strength=1.0, compare_base=False, num_prompts=2,
        data=ValidatedData(path=str(demo_folder(cache)), cache=str(cache)), output=str(tmp_path / "alone"),
    )  # fmt: skip
    record = record_of(validate(alone))
    assert record["settings"]["resolution"] == 128
    assert record["settings"]["weights"] == [0.5, 0.5]
    assert record["verdicts"] == {}
    assert not (tmp_path / "alone" / "images" / "base").exists()


def test_prompts_of_a_file_are_new_ones(own_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("# mine\npixel art, a castle of ice\n\n  pixel art, ümlaut  \n")
    record = record_of(validate(replace(QUICK, run=str(own_run), prompts_file=str(file), strength=1.0)))
    assert [p["prompt"] for p in record["prompts"] if not p["seen"]] == [
        "pixel art, a castle of ice",
        "pixel art, ümlaut",
    ]


def test_a_new_prompt_is_never_a_training_caption(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    from spritelora.config.train.data_keys import DataConfig
    from spritelora.data.training_set import read_training_set

    sprites = read_training_set(DataConfig(cache=str(cache)), 128)
    known, held = sprites.training[0].caption, sprites.held_out[0].caption
    seen, new = choose_prompts(sprites, [known, "a dragon"], [], 4)
    assert len(seen) == 4
    assert new[:2] == ["a dragon", held]
    assert choose_prompts(sprites, [], [known, "a dragon"], 1)[1] == ["a dragon"]
    assert f"not new, for training captions: {known}" in caplog.text


def test_changed_sprites_are_told(own_run: Path) -> None:
    record = json.loads((own_run / "run.json").read_text())
    record["data"]["hash"] = "0" * 64
    (own_run / "run.json").write_text(json.dumps(record))
    folder = validate(replace(QUICK, run=str(own_run), strength=1.0, num_prompts=1))
    assert "were changed since" in record_of(folder)["settings"]["data"]["note"]
    assert "were changed since" in (folder / "validation.html").read_text()


def test_a_base_with_other_weights_is_told(
    own_run: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quick = replace(QUICK, run=str(own_run), strength=1.0, num_prompts=1, compare_base=False)
    record = json.loads((own_run / "run.json").read_text())
    weights = record["model"].pop("weights")
    for number, recorded in enumerate((weights, None, {**weights, "vae": "0" * 64})):
        assert "images are not comparable" not in caplog.text
        (own_run / "run.json").write_text(json.dumps({**record, "model": {**record["model"], "weights": recorded}}))
        validate(replace(quick, output=str(tmp_path / str(number))))
    assert "is not the base that the run was trained on (other weights: vae): images are not comparable" in caplog.text
    caplog.clear()
    (tmp_path / "drawn").mkdir()
    config = GenerateConfig(run=str(own_run), palette="none", native_size="16")
    config.data.cache, config.sampler.steps = str(cache), 1
    generate(config, Invocation(tmp_path / "drawn"))
    assert "(other weights: vae): images are not comparable with the run's own" in caplog.text


def test_a_record_from_before_groups_is_read(own_run: Path) -> None:
    record = json.loads((own_run / "run.json").read_text())
    for key in ("split", "augment"):
        record["settings"]["data"].pop(key)
    (own_run / "run.json").write_text(json.dumps(record))
    assert record_of(validate(replace(QUICK, run=str(own_run), strength=1.0, num_prompts=1)))["best_strength"] == 1.0


def other_base(file: Path) -> None:
    """The layers that a LoRA for SDXL itself has."""
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    save_file({f"{name}.lora_down.weight": torch.zeros(4, 640), f"{name}.lora_up.weight": torch.zeros(640, 4)}, file)


MISTAKES = [
    ({"run": None}, ConfigError, "nothing to validate: give run=RUN, or loras=FILE"),
    ({"run": "/nowhere"}, ConfigError, "run=/nowhere: no such folder"),
    ({"run": "{tmp}"}, ConfigError, "neither a run folder"),
    ({"run": "{half}"}, ConfigError, "the run has no checkpoint yet, so there is no LoRA to take; go on with it"),
    ({"lora_strengths": [1.0, 2.0]}, ConfigError, "lora_strengths has 2 numbers for 1 LoRAs"),
    ({"strengths": [0.0, 1.0]}, ConfigError, "strengths must be above 0 and at most 10, got 0, 1"),
    ({"prompts_file": "{tmp}/empty.txt"}, ConfigError, "holds no prompt; write one a line"),
    ({"output": "{tmp}/empty.txt"}, ConfigError, "is a file; name a folder"),
    ({"output": "{tmp}"}, ConfigError, "holds other files; name a new folder"),
    ({"output": "{old}"}, ConfigError, "holds a validation; name another folder, or replace it: overwrite=true"),
    ({"loras": ["{tmp}/none.safetensors"]}, WeightsError, "no such file"),
    ({"loras": ["{tmp}/empty.txt"]}, WeightsError, "a text file that begins '# nothing'"),
    ({"loras": ["{sdxl}"]}, WeightsError, "a LoRA for SDXL, not for .*set model.path to its base"),
    ({"run": None, "loras": ["{greens}"]}, ConfigError, "output is not set"),
    ({"run": None, "loras": ["{greens}"], "output": "{tmp}/o"}, ConfigError, "data.path is not set"),
    (
        {"run": None, "loras": ["{sdxl}"], "output": "{tmp}/o"},
        ConfigError,
        "model.path is not set, and .* does not say",
    ),
    (
        {"run": None, "loras": ["{bare}"], "output": "{tmp}/o"},
        ConfigError,
        "model.resolution is not set, and .* does not say",
    ),
    ({"data": ValidatedData(path="/nowhere")}, DatasetError, "/nowhere: no such folder"),
    ({"model": BaseConfig(path="/nowhere")}, WeightsError, "model.path=/nowhere: no such file or folder"),
    ({"clip": "/nowhere"}, WeightsError, "clip=/nowhere: no such folder"),
]


@pytest.mark.parametrize(("change", "kind", "message"), MISTAKES, ids=lambda x: str(x)[:60])
def test_mistakes(
    own_run: Path, validated: Path, tmp_path: Path, change: dict[str, Any], kind: type[SpriteLoraError], message: str
) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    half = Path(shutil.copytree(own_run, tmp_path / "half"))
    shutil.rmtree(half / "checkpoint_final")
    other_base(tmp_path / "sdxl.safetensors")
    greens = own_run / "checkpoint_final" / "lora.safetensors"
    save_file(load_file(greens), tmp_path / "bare.safetensors")
    places = {
        "tmp": tmp_path, "half": half, "old": validated, "greens": greens, "sdxl": tmp_path / "sdxl.safetensors",
        "bare": tmp_path / "bare.safetensors",
    }  # fmt: skip

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(v) for v in value]
        return value.format(**places) if isinstance(value, str) else value

    config = replace(QUICK, **{"run": str(own_run), **{name: filled(value) for name, value in change.items()}})
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    with pytest.raises(kind, match=message):
        validate(config)
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.parts} == before


def test_an_unwritable_resolution_in_a_file_is_named(own_run: Path, tmp_path: Path) -> None:
    file = own_run / "checkpoint_final" / "lora.safetensors"
    save_file(load_file(file), tmp_path / "odd.safetensors", metadata={"ss_resolution": "(100, 100)"})
    config = replace(QUICK, loras=[str(tmp_path / "odd.safetensors")], output=str(tmp_path / "o"))
    with pytest.raises(WeightsError, match=r"trained at 100 px, it says; set model\.resolution"):
        validate(config)


def test_an_earlier_validation_is_replaced_when_told_to(own_run: Path) -> None:
    small = replace(QUICK, run=str(own_run), strength=0.5, num_prompts=1)
    folder = validate(small)
    validate(replace(small, strength=1.0, overwrite=True))
    assert {p.name for p in (folder / "images").iterdir()} == {"base", "1"}


@pytest.mark.slow
def test_a_lora_of_another_style_is_shown_to_be_closer_to_it(cache: Path, tmp_path: Path) -> None:
    run = train_short(
        tmp_path / "run", cache, "trainer.max_steps=60", "trainer.batch_size=8", "data.limit=null", "optim.lr=4e-3"
    )
    folder = validate(ValidateConfig(run=str(run), strengths=[1.0], sampler=ValidationSampler(steps=8, guidance=3.0)))
    found = record_of(folder)["metrics"]["palette_distance"]["by_strength"]["1"]["against_base"]
    assert (found["outcome"], found["high"] < 0) == ("better", True)


@either_start
def test_the_command(own_run: Path, ready: Ready) -> None:
    place = f"hydra.run.dir={own_run.parent / 'log'}"
    command = ["scripts/validate.py", f"run={own_run}", place]
    quick = ("strengths=[1.0]", "num_prompts=2", "sampler.steps=2", "hardware.threads=1")
    result = run_python(*command, *quick, ready=ready)
    assert result.returncode == 0, result.stderr
    assert "Are the pictures clean pixel art?" in result.stderr + result.stdout
    assert (own_run / "validation" / "validation.html").is_file()
    typo = run_python(*command, "sampler.stps=3", ready="door")
    assert "unknown key 'sampler.stps': did you mean 'sampler.steps'?" in typo.stderr
