"""A single file is the model that the folder of the same weights is, and what is not SDXL is named."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spritelora.config.train.schema import Prediction
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import BaseModel, find_base, fingerprint, load_unet, load_vae, read_prediction
from spritelora.sdxl.files.tokenizer_files import NUM_MERGES, read_merges, vocabulary
from spritelora.sdxl.sample import call_unet
from spritelora.sdxl.text import TextEncoders
from tests.checkpoints import vae_names, write_small
from tests.conftest import assert_same_tensors
from tests.weight_files.strangers import OTHER_WEIGHTS, STRANGERS, plain

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def single(models: Path) -> BaseModel:
    return find_base(str(models / "single.safetensors"), tokenizer=str(models / "diffusers"))


@pytest.fixture(scope="module")
def folder(models: Path) -> BaseModel:
    return find_base(str(models / "diffusers"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_forms_give_the_same_unet_output(single: BaseModel, folder: BaseModel, dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(0)
    noisy, text = torch.randn((2, 4, 8, 8), generator=source), torch.randn((2, 77, 192), generator=source)
    pooled, ids = torch.randn((2, 128), generator=source), torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
    conditions = {"text_embeds": pooled.to(dtype), "time_ids": ids}
    ours, theirs = (
        call_unet(load_unet(base, dtype), noisy.to(dtype), torch.tensor([3, 900]), text.to(dtype), conditions)
        for base in (single, folder)
    )
    assert ours.isfinite().all()
    assert ours.std() > 0.01
    assert torch.equal(ours, theirs)


def test_both_forms_have_the_same_vae_and_text_encoders(single: BaseModel, folder: BaseModel) -> None:
    assert_same_tensors(load_vae(single, CPU).state_dict(), load_vae(folder, CPU).state_dict())
    ours, theirs = (TextEncoders(base, CPU, torch.float32).encode("pixel art, red potion") for base in (single, folder))
    assert ours.states.std() > 0.01
    assert torch.equal(ours.states, theirs.states)
    assert torch.equal(ours.pooled, theirs.pooled)


def test_a_loaded_part_holds_no_piece_of_the_file(single: BaseModel) -> None:
    """Views into the file would lie at any address, and sums of unaligned numbers are not repeatable to the bit."""
    for dtype in (torch.float16, torch.float32):
        assert all(p.data_ptr() % 64 == 0 and p.dtype is dtype for p in load_unet(single, dtype).parameters())


def test_a_fingerprint_is_of_the_content_not_of_the_place(single: BaseModel, folder: BaseModel, tmp_path: Path) -> None:
    file = shutil.copy(single.folder, tmp_path / "other.safetensors")
    moved = find_base(str(file), tokenizer=str(folder.folder))
    parts = ("unet", "vae", "text_encoder", "tokenizer")
    first, second = ([fingerprint(base, part, tmp_path / "memo") for part in parts] for base in (single, moved))
    assert first == second
    assert len(set(first)) == 4


def changed(
    single: BaseModel, tmp_path: Path, more: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> Path:
    file = tmp_path / "changed.safetensors"
    save_file({**load_file(single.folder), **more}, file, metadata)
    return file


@pytest.mark.parametrize(
    ("metadata", "marks", "prediction"),
    [
        (None, [], Prediction.epsilon),
        (None, ["v_pred"], Prediction.v_prediction),
        (None, ["v_pred", "ztsnr"], Prediction.v_prediction),
        ({"modelspec.prediction_type": "v"}, [], Prediction.v_prediction),
        ({"modelspec.prediction_type": "epsilon"}, [], Prediction.epsilon),
    ],
)
def test_v_prediction_is_recognised(single: BaseModel, tmp_path: Path, metadata, marks, prediction) -> None:
    file = changed(single, tmp_path, dict.fromkeys(marks, torch.zeros(0)), metadata)
    base = find_base(str(file))
    assert read_prediction(base, Prediction.auto) is prediction
    assert base.config("scheduler").get("rescale_betas_zero_snr", False) is ("ztsnr" in marks)


def test_an_unknown_prediction_type_is_refused(single: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="prediction type sample; epsilon and v are known"):
        find_base(str(changed(single, tmp_path, {}, {"modelspec.prediction_type": "sample"})))


@pytest.mark.parametrize("form", ["original", "prefixed", "diffusers", "folder", "old names"])
def test_a_vae_of_its_own_replaces_the_models(models: Path, single: BaseModel, tmp_path: Path, form: str) -> None:
    source = models / "diffusers" / "vae"
    state = {n: t * 2 for n, t in load_file(source / "diffusion_pytorch_model.safetensors").items()}
    place = tmp_path / "vae.safetensors"
    if form == "folder":
        place = tmp_path / "vae"
        place.mkdir()
        shutil.copy(source / "config.json", place)
        save_file(state, place / "diffusion_pytorch_model.safetensors")
    else:
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        named = {"original": vae_names(state), "diffusers": state}
        named["prefixed"] = {f"first_stage_model.{n}": t for n, t in named["original"].items()}
        named["old names"] = {_replace_all(n, old): t for n, t in state.items()}
        save_file({n: t.contiguous() for n, t in named[form].items()}, place)
    base = find_base(str(single.folder), vae=str(place))
    assert_same_tensors(load_vae(base, CPU).state_dict(), {n: t.float() for n, t in state.items()})
    assert fingerprint(base, "vae", tmp_path) != fingerprint(single, "vae", tmp_path)
    assert fingerprint(base, "unet", tmp_path) == fingerprint(single, "unet", tmp_path)


def _replace_all(name: str, pairs: dict[str, str]) -> str:
    for before, after in pairs.items():
        name = name.replace(before, after)
    return name


def test_what_is_not_an_sdxl_vae_is_refused(models: Path, single: BaseModel, tmp_path: Path) -> None:
    for vae, message in [
        (str(tmp_path / "none.safetensors"), "no such file or folder"),
        (str(single.folder.parent / "diffusers" / "unet" / "diffusion_pytorch_model.safetensors"), "not the weights"),
        (str(models / "diffusers" / "unet"), "a UNet2DConditionModel with scaling factor None"),
    ]:
        with pytest.raises(WeightsError, match=message):
            find_base(str(single.folder), vae=vae)
    other = Path(shutil.copytree(models / "diffusers" / "vae", tmp_path / "sd15"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "scaling_factor": 0.18215}))
    with pytest.raises(WeightsError, match=r"scaling factor 0\.18215; SDXL's is an AutoencoderKL with 0\.13025"):
        find_base(str(single.folder), vae=str(other))


CONV, CROSS = (
    "model.diffusion_model.input_blocks.0.0.weight",
    "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight",
)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({CROSS: (320, 768), "cond_stage_model.transformer.text_model.x": (1,)}, "it holds Stable Diffusion 1.5"),
        ({CROSS: (320, 1024), "cond_stage_model.model.ln_final.bias": (1,)}, "it holds Stable Diffusion 2"),
        ({"model.diffusion_model.joint_blocks.0.x": (1,)}, "it holds Stable Diffusion 3"),
        ({"model.diffusion_model.double_blocks.0.x": (1,)}, "it holds FLUX"),
        ({"double_blocks.0.img_attn.proj.bias": (1,)}, "it holds FLUX"),
        ({CONV: (384, 4, 3, 3), "conditioner.embedders.0.model.ln_final.bias": (1,)}, "the SDXL refiner; give the"),
        ({CONV: (320, 9, 3, 3), "conditioner.embedders.1.model.x": (1,)}, r"an inpainting model \(9 input"),
        ({CONV: (320, 8, 3, 3), "conditioner.embedders.1.model.x": (1,)}, r"an editing model \(8 input"),
        ({CONV: (320, 4, 3, 3), "edm_mean": (1,)}, r"another noise schedule \(EDM\)"),
        ({"control_model.time_embed.0.weight": (1,)}, "it holds a ControlNet; give an SDXL model"),
        ({"lora_unet_out_2.lora_down.weight": (4, 320)}, "it holds a LoRA; such a file is given as loras="),
        (
            {"unet.mid_block.attentions.0.proj_in.lora_A.weight": (4, 320)},
            "it holds a LoRA; such a file is given as loras=",
        ),
        (
            {"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)},
            "a part of a model; give the diffusers folder it belongs to",
        ),
        ({"transformer.h.0.weight": (1,)}, r"nor known otherwise: it holds transformer\.h\.0\.weight"),
        ({CONV: (320, 4, 3, 3)}, "parts are missing: first text encoder, second text encoder, VAE; give the whole"),
    ],
)
def test_what_is_not_sdxl_is_named(tmp_path: Path, shapes: dict, message: str) -> None:
    file = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, file)
    with pytest.raises(WeightsError, match=message) as error:
        find_base(str(file))
    assert str(file) in str(error.value)


@pytest.mark.parametrize("kind", ["StableDiffusionPipeline", "StableDiffusion3Pipeline", "FluxPipeline"])
def test_a_folder_of_another_model_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    with pytest.raises(WeightsError, match=f"holds a {kind}, not SDXL"):
        find_base(str(tmp_path))


def test_a_file_without_vae_asks_for_one(models: Path, single: BaseModel, tmp_path: Path) -> None:
    state = {n: t for n, t in load_file(single.folder).items() if not n.startswith("first_stage_model.")}
    save_file(state, tmp_path / "no_vae.safetensors")
    with pytest.raises(WeightsError, match=r"parts are missing: VAE; a VAE can be given as model\.vae=FILE"):
        find_base(str(tmp_path / "no_vae.safetensors"))
    load_vae(find_base(str(tmp_path / "no_vae.safetensors"), vae=str(models / "diffusers")), CPU)


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (0, "empty: .* fetch it again"),
        (4, "not a safetensors file"),
        (5000, "not a whole safetensors file: cut short, 5000 of at least .* fetch it again"),
        (3_000_000, "not a whole safetensors file: cut short, 3000000 of at least .* fetch it again"),
    ],
)
def test_a_truncated_file_is_named(single: BaseModel, tmp_path: Path, keep: int, told: str) -> None:
    file = tmp_path / "short.safetensors"
    file.write_bytes(single.folder.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=rf"short\.safetensors: {told}"):
        find_base(str(file))


@pytest.mark.parametrize(("name", "legacy"), [("a.ckpt", False), ("a.pt", True), ("named.safetensors", False)])
def test_a_pickle_is_not_read(tmp_path: Path, name: str, legacy: bool) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    torch.save({"x": Trap()}, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="a pickle, which can run any code when it is read, so it is not; ask for"):
        find_base(str(tmp_path / name))
    assert not trap.exists()


def test_fp8_is_raised_and_said(single: BaseModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = {n: t.to(torch.float8_e4m3fn) for n, t in load_file(single.folder).items()}
    save_file(state, tmp_path / "fp8.safetensors")
    base = find_base(str(tmp_path / "fp8.safetensors"))
    assert "weights in fp8, used as they are rounded" in caplog.text
    name = "time_embedding.linear_1.weight"
    expected = load_unet(single, torch.float32).state_dict()[name].half().to(torch.float8_e4m3fn).float()
    assert torch.equal(load_unet(base, torch.float32).state_dict()[name], expected)


@pytest.mark.parametrize("mark", ["model.diffusion_model.scaled_fp8", "model.diffusion_model.out.2.scale_weight"])
def test_quantised_weights_are_refused(single: BaseModel, tmp_path: Path, mark: str) -> None:
    with pytest.raises(WeightsError, match=r"quantised weights \(scaled fp8\)"):
        find_base(str(changed(single, tmp_path, {mark: torch.ones(1)})))
    integers = {"model.diffusion_model.out.2.weight": torch.ones(4, dtype=torch.uint8)}
    with pytest.raises(WeightsError, match=r"quantised weights \(U8\)"):
        find_base(str(changed(single, tmp_path, integers)))


def test_a_pruned_unet_is_refused(single: BaseModel, tmp_path: Path) -> None:
    state = {n: t for n, t in load_file(single.folder).items() if ".middle_block.1." not in n}
    save_file(state, tmp_path / "pruned.safetensors")
    with pytest.raises(WeightsError, match=r"its unet is not SDXL's: \d+ tensors missing, 0 unknown"):
        load_unet(find_base(str(tmp_path / "pruned.safetensors")), torch.float32)
    state = {n: t for n, t in state.items() if ".label_emb." not in n}
    save_file(state, tmp_path / "pruned.safetensors")
    with pytest.raises(WeightsError, match="its tensors are not all SDXL's"):
        find_base(str(tmp_path / "pruned.safetensors"))


def test_a_missing_tokenizer_is_asked_for(single: BaseModel, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("spritelora.sdxl.files.tokenizer_files.VOCABULARY_PACKAGES", ())
    alone = shutil.copy(single.folder, tmp_path / "alone.safetensors")
    with pytest.raises(WeightsError, match=r"holds no tokenizer.*model\.tokenizer=FOLDER, or fetch it once: hf down"):
        TextEncoders(find_base(str(alone)), CPU, torch.float32)
    with pytest.raises(WeightsError, match=r"model\.tokenizer=/none: no tokenizer\.json"):
        TextEncoders(find_base(str(alone), tokenizer="/none"), CPU, torch.float32)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="not a CLIP tokenizer's"):
        TextEncoders(find_base(str(alone), tokenizer=str(tmp_path / "broken")), CPU, torch.float32)


def test_a_tokenizer_is_found_beside_the_file_and_in_the_hubs_cache(
    single: BaseModel, folder: BaseModel, tmp_path: Path, monkeypatch
) -> None:
    alone = shutil.copy(single.folder, tmp_path / "alone.safetensors")
    repository = tmp_path / "hub" / "models--stabilityai--stable-diffusion-xl-base-1.0"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abc")
    shutil.copytree(folder.folder, repository / "snapshots" / "0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = find_base(str(alone))
    assert cached.weights("tokenizer_2") == repository / "snapshots" / "0123abc" / "tokenizer_2"
    shutil.copytree(folder.folder / "tokenizer", tmp_path / "tokenizer")
    beside = find_base(str(alone))
    assert beside.weights("tokenizer_2") == tmp_path / "tokenizer"
    ours, theirs = (TextEncoders(base, CPU, torch.float32).encode("pixel art") for base in (beside, single))
    assert torch.equal(ours.pooled, theirs.pooled)


def test_clips_list_of_merges_gives_clips_numbers(tmp_path: Path) -> None:
    """The published list is longer than what CLIP was trained with, and the rest must not count."""
    words = [f"{i:05x}" for i in range(NUM_MERGES + 100)]
    file = tmp_path / "bpe_simple_vocab_16e6.txt.gz"
    file.write_bytes(gzip.compress("\n".join(["#version", *(f"a{w} b{w}" for w in words)]).encode()))
    numbers = vocabulary(read_merges(file))
    assert len(numbers) == 49408
    assert (numbers["!"], numbers["<|startoftext|>"], numbers["<|endoftext|>"]) == (0, 49406, 49407)


@pytest.mark.parametrize("name", ["lfs", "page", "json", "torch", "half a header", "empty", "png"])
def test_what_is_no_model_is_named_as_file_and_as_vae(single: BaseModel, tmp_path: Path, name: str) -> None:
    content, told = STRANGERS[name]
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    for paths in ((str(file), None), (str(single.folder), str(file))):
        with pytest.raises(WeightsError, match=rf"model\.safetensors: {told}"):
            find_base(*paths)
    folder = Path(shutil.copytree(single.folder.parent / "diffusers" / "vae", tmp_path / "vae"))
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"diffusion_pytorch_model\.safetensors: {told}"):
        find_base(str(single.folder), vae=str(folder))


@pytest.mark.parametrize("name", ["inversion", "control lora", "controlnet", "ip adapter", "vae", "state"])
def test_other_weights_are_named_as_model_and_as_vae(single: BaseModel, tmp_path: Path, name: str) -> None:
    shapes, told = OTHER_WEIGHTS[name]
    file = tmp_path / "model.safetensors"
    save_file({n: torch.zeros(shape) for n, shape in shapes.items()}, file)
    with pytest.raises(WeightsError, match=rf"model\.safetensors: not SDXL: .*{told.partition(';')[0]}"):
        find_base(str(file))
    with pytest.raises(WeightsError, match=r"model\.vae=.*: not the weights of an SDXL VAE"):
        find_base(str(single.folder), vae=str(file))


def test_a_lora_as_a_vae_is_named(single: BaseModel, tmp_path: Path) -> None:
    save_file(plain(), tmp_path / "lora.safetensors")
    with pytest.raises(WeightsError, match="not the weights of an SDXL VAE: it holds a LoRA; give sdxl_vae"):
        find_base(str(single.folder), vae=str(tmp_path / "lora.safetensors"))
