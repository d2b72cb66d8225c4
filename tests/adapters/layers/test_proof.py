"""The exported file: SDXL's own names, the live model's deltas, and other programs draw the same with it."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file

from spritelora.adapters.files.formats import tensor_hash
from spritelora.adapters.files.kohya import original_path
from spritelora.adapters.files.lowrank import LowRank, distance
from spritelora.adapters.files.metadata import LoraFacts, describe
from spritelora.adapters.layers.live import live_change
from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.adapters.layers.proof import adapter_tensors, file_change, kohya_names, prove_export, write_lora
from spritelora.errors import WeightsError
from spritelora.sdxl.files.geometry import SDXL_UNET, full_unet
from tests.adapters.layers.test_lora import call, call_in_float64, targets_of
from tests.bounds import assert_same_function, size_error, stored_error

pytestmark = pytest.mark.numeric

LAYER_NORMS = {"norm1": "in_layers.0", "norm2": "out_layers.0"}


def original_parameters(unet: UNet2DConditionModel) -> dict[str, str]:
    """Original name of every parameter: ours for linear and convolution layers, the norms' written out here."""
    names = {}
    for name in unet.state_dict():
        path, _, leaf = name.rpartition(".")
        parent, _, last = path.rpartition(".")
        if "resnets" in path and last in LAYER_NORMS:
            beside = original_path(f"{parent}.conv1", 2, frozenset({0, 1}))
            names[name] = f"{beside.removesuffix('in_layers.2')}{LAYER_NORMS[last]}.{leaf}"
        elif path == "conv_norm_out":
            names[name] = f"out.0.{leaf}"
        else:
            names[name] = f"{original_path(path, 2, frozenset({0, 1}))}.{leaf}"
    return names


def test_names_are_those_that_diffusers_converts_from() -> None:
    unet = full_unet()
    names = original_parameters(unet)
    assert len(set(names.values())) == len(names) == 1680
    checkpoint = {f"model.diffusion_model.{original}": name for name, original in names.items()}
    converted = convert_ldm_unet_checkpoint(checkpoint, {**SDXL_UNET, "class_embed_type": None})
    assert converted == {name: name for name in names}


def test_known_names_of_kohya() -> None:
    unet = full_unet().requires_grad_(False)
    targets = match_targets(unet, [*targets_of("wide"), "conv_in", "conv_out", "linear_1", "conv_shortcut", "conv"])
    add_lora(unet, targets, rank=1, alpha=1, dropout=0, seed=0)
    names = set(kohya_names(unet).values())
    assert len(names) == len(targets)
    assert names >= {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "lora_unet_middle_block_1_transformer_blocks_9_attn2_to_out_0",
        "lora_unet_output_blocks_0_1_transformer_blocks_0_ff_net_0_proj",
        "lora_unet_output_blocks_5_1_proj_out",
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_output_blocks_2_2_conv",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_input_blocks_0_0",
        "lora_unet_time_embed_0",
        "lora_unet_label_emb_0_0",
        "lora_unet_out_2",
    }


def trained(unet, rank: int = 4, alpha: float = 2, seed: int = 0):
    """The UNet with a wide adapter that has moved away from zero."""
    add_lora(unet, match_targets(unet, targets_of("wide")), rank=rank, alpha=alpha, dropout=0, seed=seed)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in lora_layers(unet).values():
            up = layer.lora_B["default"].weight
            up.copy_(0.1 * torch.randn(up.shape, generator=noise))
    return unet


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_file_holds_the_live_deltas(unet, tmp_path: Path, dtype: torch.dtype) -> None:
    trained(unet)
    write_lora(tmp_path / "lora.safetensors", unet, dtype, {})
    tensors = load_file(tmp_path / "lora.safetensors")
    assert len(tensors) == 3 * len(lora_layers(unet))
    for path, name in kohya_names(unet).items():
        live, written = live_change(lora_layers(unet)[path]), file_change(tensors, name)
        assert isinstance(live, LowRank)
        assert isinstance(written, LowRank)
        assert distance(written, live) <= stored_error(live, dtype) + size_error(live, live)
        assert float(tensors[f"{name}.alpha"]) == 2.0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t, name: t.pop(f"{name}.alpha"), "keys differ"),
        (lambda t, _: t.update({"lora_unet_nowhere.alpha": torch.tensor(1.0)}), "keys differ"),
        (lambda t, name: t.update({f"{name}.alpha": torch.tensor(4.0)}), "delta of .* differs"),
        (lambda t, name: t[f"{name}.lora_up.weight"].mul_(1.01), "delta of .* differs"),
    ],
)
def test_a_wrong_export_is_refused(unet, damage, message: str) -> None:
    tensors = adapter_tensors(trained(unet), torch.float16)
    prove_export(unet, tensors)
    damage(tensors, next(iter(kohya_names(unet).values())))
    with pytest.raises(WeightsError, match=message):
        prove_export(unet, tensors)


def test_an_adapter_that_is_not_finite_is_refused(unet) -> None:
    trained(unet)
    layer = next(iter(lora_layers(unet).values()))
    layer.lora_B["default"].weight.data[0] = float("nan")
    with pytest.raises(WeightsError, match="not finite"):
        prove_export(unet, adapter_tensors(unet, torch.float16))


def test_weights_that_overflow_the_file_format_are_refused(unet) -> None:
    trained(unet)
    layer = next(iter(lora_layers(unet).values()))
    layer.lora_B["default"].weight.data.fill_(1e5)
    with pytest.raises(WeightsError, match="not finite"):
        prove_export(unet, adapter_tensors(unet, torch.float16))


def test_small_deltas_of_a_first_step_are_exported(unet) -> None:
    trained(unet)
    for layer in lora_layers(unet).values():
        layer.lora_B["default"].weight.data.mul_(1e-5)
    prove_export(unet, adapter_tensors(unet, torch.float16))


def test_a_layer_without_an_original_name_is_refused() -> None:
    with pytest.raises(WeightsError, match="no name in SDXL's original checkpoint"):
        original_path("add_embedding.cond_proj", 2, frozenset({0, 1}))


def test_diffusers_draws_the_same_with_the_file(base, unet, tmp_path: Path) -> None:
    write_lora(tmp_path / "lora.safetensors", trained(unet, rank=4, alpha=2), torch.float32, {})
    pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float32)
    plain = call(pipeline.unet)
    pipeline.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
    assert not torch.allclose(call(pipeline.unet), plain, atol=1e-2)
    assert_same_function(call_in_float64(pipeline.unet), call_in_float64(unet))


def test_metadata_is_what_other_programs_look_for(unet, tmp_path: Path) -> None:
    facts = LoraFacts(
        title="potions",
        base_name="stabilityai/stable-diffusion-xl-base-1.0",
        base_channels=(320, 640, 1280),
        prediction="epsilon",
        resolution=1024,
        rank=4,
        alpha=2,
        captions=["pixel art, red potion", "pixel art, key"],
        settings={"learning_rate": 1e-4, "seed": 0},
    )
    write_lora(tmp_path / "lora.safetensors", trained(unet), torch.float16, describe(facts))
    with safe_open(tmp_path / "lora.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["ss_base_model_version"].startswith("sdxl_")
    assert (metadata["ss_v2"], metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("False", "4", "2")
    assert metadata["ss_network_module"] == "networks.lora"
    assert '"pixel art": 2' in metadata["ss_tag_frequency"]
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.hash_sha256"] == f"0x{metadata['sshs_model_hash']}"


def test_the_hash_is_of_the_weights_alone(unet, tmp_path: Path) -> None:
    trained(unet)
    hashes = []
    for title in ("a", "b"):
        write_lora(tmp_path / f"{title}.safetensors", unet, torch.float16, {"modelspec.title": title})
        with safe_open(tmp_path / f"{title}.safetensors", framework="pt") as file:
            hashes.append(file.metadata()["sshs_model_hash"])
    tensors = load_file(tmp_path / "a.safetensors")
    next(iter(tensors.values())).add_(1)
    assert hashes[0] == hashes[1] != tensor_hash(tensors)
