"""A single file is a base everywhere: training, the LoRA's metadata, drawing, validation, inspection."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from spritelora.adapters.files.bases import SdxlKind
from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.commands.generate.generate import generate
from spritelora.commands.lora.lora import report_on
from spritelora.commands.train.record import public_settings
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.commands.validate import ValidateConfig, ValidationSampler
from spritelora.config.invocation import Invocation
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import find_base
from tests.checkpoints import write_small
from tests.conftest import assert_same_tensors, lora_of

SHORT = ("model.resolution=64", "trainer.max_steps=2", "trainer.save_every=0", "optim.lr=0.01")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("models"))


def test_a_run_on_a_file_is_the_run_on_the_folder_and_all_else_follows(
    models: Path, train_quickly, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spritelora.adapters.files.bases.KINDS", (SdxlKind("a small SDXL", (32, 64, 128), (64, 128)),))
    file = models / "single.safetensors"
    run = train_quickly(*SHORT, f"model.path={file}", f"model.tokenizer={models / 'diffusers'}", name="from_file")
    other = train_quickly(*SHORT, f"model.path={models / 'diffusers'}", name="from_folder")
    assert_same_tensors(lora_of(run), lora_of(other))
    lora = run / "checkpoint_final" / "lora.safetensors"
    with safe_open(lora, framework="pt") as opened:
        assert opened.metadata()["ss_sd_model_name"] == "single.safetensors"
    record = json.loads((run / "run.json").read_text())
    assert record["model"]["folder"] == str(file)
    told = public_settings(RunRecord.read(run))
    assert (told["model.path"], told["model.tokenizer"]) == ("single.safetensors", "diffusers")
    assert str(models) not in json.dumps(told)

    drawn = tmp_path / "drawn"
    drawn.mkdir()
    config = GenerateConfig(run=str(run), prompts=["pixel art, key"], native_size="16", palette="4")
    config.data.cache, config.sampler.steps = str(cache), 2
    generate(config, Invocation(drawn))
    assert [f.name for f in (drawn / "sprites").iterdir()] == ["pixel-art-key.png"]
    quick = ValidateConfig(strengths=[1.0], num_prompts=2, sampler=ValidationSampler(steps=2), batch_size=4)
    page = validate(replace(quick, run=str(run), output=str(tmp_path / "validated"))) / "validation.json"
    assert json.loads(page.read_text())["settings"]["model"] == "single.safetensors"
    ours, theirs = (
        report_on(read_lora_file(lora), find_base(str(path)), every_layer=False)
        for path in (file, models / "diffusers")
    )
    assert ours == theirs.replace("weights of diffusers", "weights of single.safetensors")
