"""A run that trains the text encoders too: resumed to the bit, drawn with what it learns, loaded elsewhere."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from spritelora.adapters.files.layer_names import path_in
from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.adapters.files.lowrank import full_delta
from spritelora.commands.export.export import export
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.config.invocation import Invocation
from spritelora.door.command_table import train
from spritelora.errors import ResumeError, WeightsError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.sample import start_noise
from spritelora.sdxl.text import TextEncoders
from tests.bounds import assert_same_function, assert_same_pictures, exact_delta
from tests.composing import compose
from tests.conftest import QUICK, assert_same_tensors, lora_of

PROMPT = "pixel art, red potion"
LEARN = (
    "text_encoders=attention_ff", "text_encoders.lr=0.02", "trainer.accumulate=2", "trainer.batch_size=1",
    "data.caption_dropout=0.3", "lora.save_dtype=fp32", "lora.rank=4", "lora.alpha=2", "targets=attention",
    "trainer.save_every=2", "sampler.guidance=2.0",
)  # fmt: skip


def run(folder: Path, cache: Path, *more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    overrides = (*QUICK, f"data.cache={cache}", *LEARN, *more)
    train.task(compose(*overrides), Invocation(folder, overrides))
    return folder


@pytest.fixture(scope="module")
def learned(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four steps, with a sample of the last."""
    return run(tmp_path_factory.mktemp("text") / "words", cache, "trainer.max_steps=4", "trainer.sample_every=4")


def deltas(run_dir: Path, part: str) -> list[torch.Tensor]:
    lora = read_lora_file(run_dir / "checkpoint_final" / "lora.safetensors")
    return [full_delta(change) for name, change in lora.modules.items() if name.startswith(f"{part}.")]


def test_both_encoders_learn_and_the_file_says_so(learned: Path) -> None:
    for part, count in (("unet", 136), ("text_encoder", 12), ("text_encoder_2", 18)):
        found = deltas(learned, part)
        assert len(found) == count
        assert all(delta.any() for delta in found)
    with safe_open(learned / "checkpoint_final" / "lora.safetensors", framework="pt") as file:
        told = file.metadata()
    names = ("ss_text_encoder_lr", "ss_text_encoder_dim", "ss_text_encoder_alpha")
    assert [told[name] for name in names] == ["0.02", "4", "2.0"]


@pytest.mark.numeric
def test_a_run_that_goes_on_equals_one_that_never_stopped(
    learned: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        branch = run(tmp_path / "branch", cache, f"resume={learned / 'checkpoint_step_2'}", "trainer.max_steps=4")
    assert (
        "text encoders rank 4, alpha 2: 0.03 M trainable parameters in 30 layers, learning rate 0.02; they stay"
        in caplog.text
    )
    assert_same_tensors(lora_of(learned), lora_of(branch))
    state = "checkpoint_final/training_state/state.safetensors"
    ours, theirs = load_file(learned / state), load_file(branch / state)
    assert_same_tensors(ours, theirs)
    names = [name for name in ours if name.startswith("/state_dict/")]
    assert any(n.startswith("/state_dict/text_encoder.text_model.encoder.layers.0.") for n in names)
    assert all(n.split("/")[2].startswith(("unet.", "text_encoder.", "text_encoder_2.")) for n in names)


@pytest.mark.numeric
@pytest.mark.parametrize("form", [LoraFormat.kohya, LoraFormat.diffusers])
def test_diffusers_encodes_and_draws_as_the_run_did(
    learned: Path, base: BaseModel, tmp_path: Path, form: LoraFormat
) -> None:
    """The sample of the last step, drawn by a plain pipeline from the exported file; and its embeddings."""
    from diffusers import StableDiffusionXLPipeline

    file = tmp_path / "words.safetensors"
    export(ExportConfig(run=str(learned), format=form, output=str(file)))
    pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(file))
    states, _, pooled, _ = pipeline.encode_prompt(PROMPT)
    encoders = TextEncoders(base, torch.device("cpu"), torch.float64)
    plain = encoders.encode(PROMPT)
    for name, change in read_lora_file(file).modules.items():
        if (part := name.partition(".")[0]) in encoders.stack.parts:
            model = encoders.stack.parts[part]
            model.get_submodule(path_in(model, name)).weight.data += exact_delta(change)
    merged = encoders.encode(PROMPT)
    assert_same_function(states[0], merged.states, torch.float32)
    assert_same_function(pooled[0], merged.pooled, torch.float32)
    assert (merged.states - plain.states).abs().max() > 0.01
    drawn = pipeline(
        PROMPT, num_inference_steps=2, guidance_scale=2.0, height=128, width=128,
        latents=start_noise(0, 1, 128), output_type="np",
    ).images  # pyright: ignore  # fmt: skip
    (sample,) = (learned / "samples" / "step_000004").glob("*.png")
    assert_same_pictures((drawn[0] * 255).round(), np.asarray(Image.open(sample)))


def test_pefts_form_is_of_one_model(learned: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="PEFT's form is of one model, and this LoRA changes 30 text-encoder layers"):
        export(ExportConfig(run=str(learned), format=LoraFormat.peft, output=str(tmp_path / "peft")))


def test_other_text_settings_do_not_go_on(learned: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match=r"text_encoders\.lr: 0\.02 -> 0\.01"):
        run(tmp_path / "other", cache, f"resume={learned}", "trainer.max_steps=6", "text_encoders.lr=0.01")


def test_an_encoder_that_cannot_be_loaded_is_named_before_training(
    base: BaseModel, cache: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(base.folder, tmp_path / "broken"))
    weights = folder / "text_encoder_2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    with pytest.raises(
        WeightsError,
        match=r"text_encoder_2/model\.safetensors: not a whole safetensors file: cut short.*fetch it again",
    ):
        run(tmp_path / "run", cache, "trainer.max_steps=1", f"model.path={folder}")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.slow
def test_two_processes_train_what_one_trains(learned: Path, cache: Path, tmp_path: Path) -> None:
    """To the bit: two processes in place of two accumulated passes."""
    both = ("trainer.accumulate=1", "hardware.devices=2", "hardware.threads=1", "trainer.max_steps=4")
    assert_same_tensors(lora_of(learned), lora_of(run(tmp_path / "two", cache, *both)))
