"""LoRA files that change text encoders too: prompts are encoded with them at their strength, and never cached."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.adapters.files.formats import write_form
from spritelora.adapters.files.layer_names import path_in
from spritelora.adapters.files.lora_file import Form, LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.commands.generate.generate import generate
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.commands.validate import ValidateConfig, ValidatedData, ValidationSampler
from spritelora.config.invocation import Invocation
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.drawing.adapted_text import embed_prompts
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.sample import start_noise
from spritelora.sdxl.text import TextEncoders
from tests.bounds import assert_same_pictures, assert_within, exact_delta, magnitude, rounding

pytestmark = pytest.mark.numeric

PROMPTS = ["pixel art, red potion", "pixel art, yellow key"]
Q = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
WIDTHS = {"text_encoder": 64, "text_encoder_2": 96}
PARTS = {"self_attn.q_proj": (1, 1), "self_attn.out_proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}


def text_changes(size: float = 0.2) -> dict[str, LowRank]:
    """Changes of every layer of the embedded base's text encoders, of rank 4 and alpha 2."""
    noise = torch.Generator().manual_seed(3)
    changes: dict[str, LowRank] = {}
    for encoder, width in WIDTHS.items():
        for layer in range(3):
            for part, (rows, columns) in PARTS.items():
                down = torch.randn(4, columns * width, generator=noise) * size
                up = torch.randn(rows * width, 4, generator=noise) * size
                changes[f"{encoder}.text_model.encoder.layers.{layer}.{part}"] = LowRank(down, up, 2.0)
    changes["text_encoder_2.text_projection"] = LowRank(
        torch.randn(4, 96, generator=noise) * size, torch.randn(96, 4, generator=noise) * size, 2.0
    )
    return changes


def write(file: Path, form: Form = Form.kohya) -> Path:
    modules = {**text_changes(), Q: LowRank(torch.randn(4, 96), torch.randn(96, 4) * 0.1, 2.0)}
    write_form(file, form, modules, torch.float32, {})
    return file


def drawn(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file)) for file in sorted((folder / "raw").glob("*.png"))]).astype(int)


def draw(folder: Path, cache: Path, *files: Path, strength: float = 1.0) -> np.ndarray:
    config = GenerateConfig(
        prompts=PROMPTS[:1], loras=[str(f) for f in files], strength=strength, native_size="16", seed=0
    )
    config.data.cache, config.sampler.steps, config.sampler.guidance = str(cache), 2, 2.0
    folder.mkdir()
    generate(config, Invocation(folder))
    return drawn(folder)


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return write(tmp_path / "words.safetensors")


def test_images_are_those_of_a_plain_diffusers_pipeline(tmp_path: Path, cache: Path, base, lora: Path) -> None:
    from diffusers import StableDiffusionXLPipeline

    ours, plain = draw(tmp_path / "on", cache, lora, strength=0.8), draw(tmp_path / "base", cache)
    pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(lora), adapter_name="words")
    pipeline.set_adapters("words", 0.8)
    noise = start_noise(0, 1, 128)
    theirs = pipeline(
        PROMPTS[0], num_inference_steps=2, guidance_scale=2.0, height=128, width=128, latents=noise, output_type="np"
    ).images  # pyright: ignore
    assert_same_pictures((theirs * 255).round(), ours)
    assert np.abs(ours - plain).max() > 8


def test_every_form_draws_the_same_and_halves_add_up(tmp_path: Path, cache: Path) -> None:
    torch.manual_seed(0)
    kohya, other = write(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    torch.manual_seed(0)
    write(other, Form.diffusers)
    whole = draw(tmp_path / "kohya", cache, kohya)
    assert_same_pictures(draw(tmp_path / "diffusers", cache, other), whole)
    assert_same_pictures(draw(tmp_path / "halves", cache, kohya, other, strength=0.5), whole)


def test_strength_0_is_the_base_to_the_bit_and_the_cache_holds_bases_alone(tmp_path: Path, base, lora: Path) -> None:
    encoder, file = Encoder(base, Cache(tmp_path / "cache"), torch.device("cpu")), read_lora_file(lora)
    plain = encoder.texts(PROMPTS)
    entries = {f: f.read_bytes() for f in (tmp_path / "cache").rglob("*.safetensors")}
    by_strength = embed_prompts(encoder, [file], [(0.0,), (0.5,), (1.0,)], PROMPTS)
    assert {f: f.read_bytes() for f in (tmp_path / "cache").rglob("*.safetensors")} == entries
    for prompt in PROMPTS:
        off, half, on = (by_strength[(s,)][prompt] for s in (0.0, 0.5, 1.0))
        assert off.states.equal(plain[prompt].states)
        assert off.pooled.equal(plain[prompt].pooled)
        for name in ("states", "pooled"):
            assert (getattr(on, name) - getattr(off, name)).abs().max() > 0.1
            assert not torch.allclose(getattr(half, name), getattr(on, name), atol=0.05)


def test_switched_off_encoders_give_the_base_to_the_bit(base, lora: Path) -> None:
    encoders = TextEncoders(base, torch.device("cpu"), torch.float32)
    before = encoders.encode(PROMPTS[0])
    for part, model in encoders.stack.parts.items():
        names = inject_loras(model, [read_lora_file(lora)], base.name, part)
        set_strength(model, names, [1.0])
        for name, change in text_changes().items():
            if name.startswith(f"{part}."):
                found = model.get_submodule(path_in(model, name)).get_delta_weight(names[0])
                assert_within(found, exact_delta(change), rounding(change.rank + 2) * magnitude(change))
        set_strength(model, names, [0.0])
    after = encoders.encode(PROMPTS[0])
    assert after.states.equal(before.states)
    assert after.pooled.equal(before.pooled)


def test_validation_draws_with_it(tmp_path: Path, cache: Path, lora: Path, sprite_folder: Path) -> None:
    config = ValidateConfig(
        loras=[str(lora)],
        output=str(tmp_path / "out"),
        strengths=[1.0],
        num_prompts=1,
        sampler=ValidationSampler(steps=2, guidance=2.0),
        data=ValidatedData(path=str(sprite_folder), cache=str(cache)),
    )
    config.model.resolution = 128
    folder = validate(config)
    on, off = (np.asarray(Image.open(next((folder / "images" / s).iterdir()))).astype(int) for s in ("1", "base"))
    assert np.abs(on - off).max() > 8


def test_a_lora_of_other_encoders_is_named(cache: Path, base: BaseModel) -> None:
    name = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    wide = LoraFile(
        Path("wide.safetensors"), Form.kohya, {name: LowRank(torch.zeros(4, 768), torch.zeros(768, 4), 4.0)},
        {name: name}, frozenset(), {}, (), True, {},
    )  # fmt: skip
    encoder = Encoder(base, Cache(cache), torch.device("cpu"))
    with pytest.raises(
        WeightsError, match=r"a LoRA for SDXL, not for .*q_proj is 768x768 in the file, 64x64 in the model"
    ):
        embed_prompts(encoder, [wide], [(1.0,)], PROMPTS)


def test_a_lora_of_the_unet_alone_loads_no_encoder(
    cache: Path, base: BaseModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "shapes.safetensors"
    write_form(file, Form.kohya, {Q: LowRank(torch.randn(4, 96), torch.randn(96, 4), 2.0)}, torch.float32, {})
    encoder = Encoder(base, Cache(cache), torch.device("cpu"))
    plain = encoder.texts(PROMPTS)
    caplog.set_level(logging.INFO)
    found = embed_prompts(encoder, [read_lora_file(file)], [(1.0,)], PROMPTS)
    assert not caplog.text
    assert all(found[(1.0,)][p].states.equal(plain[p].states) for p in PROMPTS)
