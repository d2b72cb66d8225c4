"""What is loaded is SDXL and is used as SDXL's own pipeline uses it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from spritelora.config.train.schema import Prediction
from spritelora.diffusion.schedule import cumulative_alphas
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import (
    BaseModel,
    files_to_fetch,
    find_base,
    fingerprint,
    load_scheduler,
    load_unet,
    load_vae,
    read_alphas,
    read_prediction,
)
from spritelora.sdxl.latents import decode_latents, encode_image
from spritelora.sdxl.sample import Sampling, sample_latents, start_noise
from spritelora.sdxl.text import TextEncoders, cut_text, load_text_stack, load_tokenizers
from tests.bounds import assert_same_function
from tests.weight_files.strangers import LFS

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pipeline(base: BaseModel) -> StableDiffusionXLPipeline:
    """In float64; what ours gives is rounded to fp32 at its end, of samples at each step."""
    return StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float64)


def test_text_is_encoded_as_the_pipeline_does(base: BaseModel, pipeline: StableDiffusionXLPipeline) -> None:
    prompt = "pixel art, red potion"
    ours = TextEncoders(base, CPU, torch.float64).encode(prompt)
    states, _, pooled, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    assert ours.states.shape[0] == 77
    assert_same_function(ours.states, states[0], torch.float32)
    assert_same_function(ours.pooled, pooled[0], torch.float32)


def test_samples_are_those_of_the_pipeline(base: BaseModel, pipeline: StableDiffusionXLPipeline) -> None:
    encoders = TextEncoders(base, CPU, torch.float64)
    prompts = ["pixel art, red potion", "pixel art, blue key"]
    noise = start_noise(3, 2, 128)
    ours = sample_latents(
        load_unet(base, torch.float64),
        Sampling(load_scheduler(base, Prediction.epsilon), steps=4, guidance=3.0),
        [encoders.encode(p) for p in prompts],
        encoders.encode("blurry"),
        noise,
    )
    options = {"num_inference_steps": 4, "guidance_scale": 3.0, "height": 128, "width": 128, "output_type": "latent"}
    theirs = pipeline(prompts, negative_prompt=["blurry"] * 2, latents=noise.double(), **options).images
    assert_same_function(ours, theirs, torch.float32)  # pyright: ignore


def test_images_go_to_latents_and_back_as_the_autoencoder_does(
    base: BaseModel, pipeline: StableDiffusionXLPipeline
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    latents = encode_image(load_vae(base, CPU), image, "noise.png")
    assert (latents.shape, latents.dtype) == ((4, 16, 16), torch.float32)
    pixels = pipeline.image_processor.preprocess((image / 255).astype(np.float32)).double()
    with torch.no_grad():
        theirs = pipeline.vae.encode(pixels).latent_dist.mean[0] * 0.13025
    assert_same_function(latents, theirs, torch.float32)
    assert decode_latents(load_vae(base, CPU), latents[None]).shape == (1, 128, 128, 3)


def test_latents_that_are_not_finite_name_the_image(base: BaseModel) -> None:
    vae = load_vae(base, CPU)
    vae.quant_conv.weight.data[0] = float("inf")
    with pytest.raises(WeightsError, match=r"knight\.png: the autoencoder gives values that are not finite"):
        encode_image(vae, np.zeros((128, 128, 3), dtype=np.uint8), "knight.png")


def test_the_end_of_a_long_prompt_is_known(base: BaseModel) -> None:
    for tokenizer in load_tokenizers(base):
        assert cut_text(tokenizer, "pixel art, red potion") == ""
        assert cut_text(tokenizer, "potion " * 75) == ""
        assert cut_text(tokenizer, "potion " * 75 + "key") == "key"


def test_prediction_and_noise_schedule_come_from_the_model(base: BaseModel, tmp_path: Path) -> None:
    assert read_prediction(base, Prediction.auto) is Prediction.epsilon
    assert read_prediction(base, Prediction.v_prediction) is Prediction.v_prediction
    assert torch.equal(read_alphas(base), cumulative_alphas())
    other = copy_of(base, tmp_path)
    edit(other.folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    assert read_prediction(other, Prediction.auto) is Prediction.v_prediction
    edit(other.folder / "scheduler" / "scheduler_config.json", beta_schedule="linear")
    with pytest.raises(WeightsError, match="noise schedule linear"):
        read_alphas(other)


def copy_of(base: BaseModel, tmp_path: Path) -> BaseModel:
    return BaseModel("copy", Path(shutil.copytree(base.folder, tmp_path / "copy")))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_fingerprint_changes_with_the_weights_alone(base: BaseModel, tmp_path: Path) -> None:
    memo = tmp_path / "memo"
    other = copy_of(base, tmp_path)
    assert fingerprint(base, "vae", memo) == fingerprint(other, "vae", memo)
    weights = other.weights("vae")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    assert fingerprint(base, "vae", memo) != fingerprint(other, "vae", memo)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "not a JSON file"),
        (lambda f: (f / "model_index.json").write_text('{"a":' * 100_000), "not a JSON file .*recursion"),
        (lambda f: edit(f / "model_index.json", _class_name="StableDiffusionPipeline"), "holds a StableDiffusionPi"),
        (lambda f: shutil.rmtree(f / "text_encoder_2"), "SDXL parts are missing: text_encoder_2"),
        (lambda f: edit(f / "unet" / "config.json", addition_embed_type=None), "not SDXL's UNet"),
        (lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(), "read from safetensors files only"),
    ],
)
def test_a_folder_that_is_not_sdxl_is_named_for_what_it_is(base: BaseModel, tmp_path: Path, damage, message) -> None:
    folder = copy_of(base, tmp_path).folder
    damage(folder)
    with pytest.raises(WeightsError, match=message) as error:
        find_base(str(folder))
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_train_timesteps": "x"}, "num_train_timesteps is x, not a whole number from 1"),
        ({"num_train_timesteps": 10**12}, "num_train_timesteps is 1000000000000, not a whole number"),
        ({"beta_start": 5}, r"beta_start and beta_end are \[5, .*not numbers between 0 and 1"),
        ({"beta_end": None}, "beta_start and beta_end are"),
        ({"prediction_type": "x"}, "prediction_type is x, and epsilon and v_prediction are known"),
    ],
)
def test_a_noise_schedule_that_is_none_is_named(base: BaseModel, tmp_path: Path, changes: dict, message: str) -> None:
    folder = copy_of(base, tmp_path).folder
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    with pytest.raises(WeightsError, match=rf"scheduler_config\.json: .*{message}.*; fetch the model again"):
        read_alphas(find_base(str(folder)))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_not_there_are_never_drawn_at_random(base: BaseModel, tmp_path: Path, part: str) -> None:
    other = copy_of(base, tmp_path)
    file = other.weights(part)
    tensors = load_file(file)
    lost = next(name for name in sorted(tensors) if name.endswith("weight") and "position" not in name)
    del tensors[lost]
    save_file(tensors, file, {"format": "pt"})
    load = {"unet": lambda: load_unet(other, torch.float32), "vae": lambda: load_vae(other, torch.device("cpu"))}
    with pytest.raises(WeightsError, match=r"1 of its tensors are not there, the first .*; fetch the model again"):
        load.get(part, lambda: load_text_stack(other, torch.float32))()


def test_pickled_weights_are_not_read(base: BaseModel, tmp_path: Path) -> None:
    folder = copy_of(base, tmp_path).folder
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(WeightsError, match="read from safetensors files only"):
        find_base(str(folder))


def test_truncated_weights_are_named(base: BaseModel, tmp_path: Path) -> None:
    other = copy_of(base, tmp_path)
    weights = other.weights("unet")
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(
        WeightsError, match=r"unet/diffusion_pytorch_model\.safetensors: .*: cut short, 5000 of at least"
    ):
        find_base(str(other.folder))
    weights.write_bytes(LFS)
    with pytest.raises(WeightsError, match=r"unet/diffusion_pytorch_model\.safetensors: a Git LFS pointer"):
        find_base(str(other.folder))


@pytest.mark.parametrize("name", ["unet/config.json", "model_index.json", "tokenizer/tokenizer.json"])
def test_pointers_in_the_place_of_settings_are_named(base: BaseModel, tmp_path: Path, name: str) -> None:
    folder = copy_of(base, tmp_path).folder
    (folder / name).write_bytes(LFS)
    with pytest.raises(WeightsError, match=rf"{name}: a Git LFS pointer.*git lfs pull"):
        load_tokenizers(find_base(str(folder)))


@pytest.mark.parametrize("path", ["/nowhere/sdxl", "./sdxl", "name-without-owner"])
def test_a_missing_folder_is_an_error(path: str) -> None:
    with pytest.raises(WeightsError, match=r"no such file or folder; give a \.safetensors file or a diffusers folder"):
        find_base(path)


def test_a_hub_out_of_reach_says_what_to_give_instead() -> None:
    with pytest.raises(WeightsError, match="nor to be had from the hub") as error:
        find_base("stabilityai/stable-diffusion-xl-base-1.0")
    assert "model.path=/path/to/stable-diffusion-xl-base-1.0 or model.path=/path/to/FILE.safetensors" in str(
        error.value
    )


def test_each_part_is_fetched_once_and_only_as_safetensors() -> None:
    """The listing of stabilityai/stable-diffusion-xl-base-1.0, its pictures apart."""
    plain = ["unet", "vae", "text_encoder", "text_encoder_2"]
    stems = {p: "diffusion_pytorch_model" if p in ("unet", "vae") else "model" for p in plain}
    endings = ("safetensors", "fp16.safetensors", "onnx", "bin")
    listing = [f"{p}/{stems[p]}.{e}" for p in plain for e in endings] + [f"{p}/config.json" for p in plain]
    others = ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer_2/merges.txt"]
    listing += [*others, "sd_xl_base_1.0.safetensors", "vae_1_0/diffusion_pytorch_model.safetensors", "README.md"]
    weights = [f for f in files_to_fetch(listing) if f.endswith("safetensors")]
    assert weights == [
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.fp16.safetensors",
        "text_encoder_2/model.fp16.safetensors",
    ]
    assert set(others) <= set(files_to_fetch(listing))
    without_half = [f for f in listing if "fp16" not in f]
    assert "unet/diffusion_pytorch_model.safetensors" in files_to_fetch(without_half)
    sharded = [
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
    ]
    assert set(sharded) <= set(files_to_fetch(sharded))


def test_a_model_that_was_fetched_before_loads_offline(base: BaseModel, tmp_path: Path, monkeypatch) -> None:
    repository = tmp_path / "models--someone--sprites-xl"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    shutil.copytree(base.folder, repository / "snapshots" / "0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = find_base("someone/sprites-xl")
    assert found.folder == repository / "snapshots" / "0123abc"
    load_unet(found, torch.float32)


def test_a_variant_in_fp16_is_found(base: BaseModel, tmp_path: Path) -> None:
    other = copy_of(base, tmp_path)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        weights = other.weights(part)
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    same = zip(load_unet(base, torch.float32).parameters(), load_unet(other, torch.float32).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    TextEncoders(other, CPU, torch.float32)
