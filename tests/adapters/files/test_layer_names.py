"""Names of SDXL's layers: all of them, each once in every form."""

import pytest
from torch import nn

from spritelora.adapters.files.layer_names import block_of, kohya_by_module, unet_layers
from spritelora.adapters.files.lora_file import module_name
from spritelora.sdxl.files.geometry import full_unet


def layers_of(unet: nn.Module) -> set[str]:
    return {name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}


def test_the_layers_are_those_of_sdxl_and_hold_the_embedded_bases(unet) -> None:
    paths = list(unet_layers())
    assert len(paths) == len(set(paths)) == 794
    assert set(paths) == layers_of(full_unet())
    assert layers_of(unet) < set(paths)


def test_every_layer_is_found_again_by_each_of_its_names() -> None:
    names = kohya_by_module()
    assert len(set(names.values())) == len(names)
    for module, kohya in names.items():
        assert module_name(kohya) == module_name(module) == module
        if module.startswith("unet."):
            path = module.removeprefix("unet.")
            for other in (path, f"base_model.model.{path}", f"unet.base_model.model.{path}"):
                assert module_name(other) == module
            assert module_name("lora_unet_" + path.replace(".", "_")) == module


@pytest.mark.parametrize(
    ("raw", "module"),
    [
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q", "attn1.to_q"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out", "attn1.to_out.0"),
        ("diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q", "attn1.to_q"),
    ],
)
def test_older_names(raw: str, module: str) -> None:
    assert module_name(raw) == f"unet.mid_block.attentions.0.transformer_blocks.0.{module}"


def test_text_encoder_names() -> None:
    assert module_name("lora_te2_text_model_encoder_layers_31_mlp_fc1") == (
        "text_encoder_2.text_model.encoder.layers.31.mlp.fc1"
    )
    assert module_name("text_encoder.encoder.layers.0.mlp.fc1") == "text_encoder.text_model.encoder.layers.0.mlp.fc1"


@pytest.mark.parametrize("raw", ["lora_unet_down_blocks_0_attentions_0_proj_in", "unet.double_blocks.0.img_attn.qkv"])
def test_what_sdxl_has_not_has_no_name(raw: str) -> None:
    assert module_name(raw) is None


def test_blocks_of_a_report() -> None:
    assert block_of("unet.down_blocks.1.attentions.0.proj_in") == "unet.down_blocks.1"
    assert block_of("unet.mid_block.resnets.0.conv1") == "unet.mid_block"
    assert block_of("text_encoder_2.text_projection") == "text_encoder_2"
