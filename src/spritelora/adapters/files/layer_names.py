"""Names of the layers that a LoRA for SDXL can change, in the forms of kohya, diffusers and ComfyUI.

A module's own name here is diffusers': `unet.` and the path in the UNet, or `text_encoder.` / `text_encoder_2.` and
the path in the text encoder with its `text_model.` level.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from torch import nn

from spritelora.adapters.files.kohya import kohya_module, original_path

LAYERS_PER_BLOCK = 2
ATTENTION_UP_BLOCKS = frozenset({0, 1})
TRANSFORMERS = {"down_blocks.1": 2, "down_blocks.2": 10, "mid_block": 10, "up_blocks.0": 10, "up_blocks.1": 2}
"""Transformer layers of each block with attention."""

SHORTCUTS = (
    "down_blocks.1.resnets.0",
    "down_blocks.2.resnets.0",
    *(f"up_blocks.{block}.resnets.{resnet}" for block in range(3) for resnet in range(3)),
)
OUTER = (
    "conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2",
    "add_embedding.linear_1", "add_embedding.linear_2",
)  # fmt: skip
TRANSFORMER_LAYERS = (
    *(f"{attention}.{part}" for attention in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")),
    "ff.net.0.proj",
    "ff.net.2",
)
TEXT_LAYERS = (
    *(f"self_attn.{part}" for part in ("q_proj", "k_proj", "v_proj", "out_proj")), "mlp.fc1", "mlp.fc2",
)  # fmt: skip
TEXT_ENCODERS = {"text_encoder": ("lora_te1_", 12), "text_encoder_2": ("lora_te2_", 32)}
"""kohya's prefix and the number of layers."""


def unet_layers() -> Iterator[str]:
    """diffusers' path of every linear and convolution layer of SDXL's UNet."""
    yield from OUTER
    for place in ("down_blocks.0", "down_blocks.1", "down_blocks.2", "mid_block"):
        yield from _block(place, num_resnets=LAYERS_PER_BLOCK, num_attentions=1 if place == "mid_block" else 2)
    for number in range(3):
        yield from _block(f"up_blocks.{number}", num_resnets=LAYERS_PER_BLOCK + 1, num_attentions=3)
    for number in range(2):
        yield f"down_blocks.{number}.downsamplers.0.conv"
        yield f"up_blocks.{number}.upsamplers.0.conv"


def _block(place: str, num_resnets: int, num_attentions: int) -> Iterator[str]:
    for resnet in (f"{place}.resnets.{i}" for i in range(num_resnets)):
        yield from (f"{resnet}.{part}" for part in ("conv1", "time_emb_proj", "conv2"))
        if resnet in SHORTCUTS:
            yield f"{resnet}.conv_shortcut"
    for i in range(num_attentions if place in TRANSFORMERS else 0):
        attention = f"{place}.attentions.{i}"
        yield from (f"{attention}.proj_in", f"{attention}.proj_out")
        for layer in range(TRANSFORMERS[place]):
            yield from (f"{attention}.transformer_blocks.{layer}.{part}" for part in TRANSFORMER_LAYERS)


def text_layers(num_layers: int) -> Iterator[str]:
    """The path of every linear layer of a CLIP text encoder."""
    for layer in range(num_layers):
        yield from (f"text_model.encoder.layers.{layer}.{part}" for part in TEXT_LAYERS)


@cache
def kohya_by_module() -> Mapping[str, str]:
    """kohya's name of every module of SDXL, by its name here."""
    unet = {
        f"unet.{path}": kohya_module(original_path(path, LAYERS_PER_BLOCK, ATTENTION_UP_BLOCKS))
        for path in unet_layers()
    }
    text = {
        f"{part}.{path}": prefix + path.replace(".", "_")
        for part, (prefix, num_layers) in TEXT_ENCODERS.items()
        for path in text_layers(num_layers)
    }
    return {**unet, **text, "text_encoder_2.text_projection": "lora_te2_text_projection"}


@cache
def module_by_kohya() -> Mapping[str, str]:
    """The module of every name that kohya-form files use for SDXL: the original blocks', and diffusers' with `_`."""
    by_original = {name: module for module, name in kohya_by_module().items()}
    by_diffusers = {
        "lora_unet_" + module.removeprefix("unet.").replace(".", "_"): module
        for module in kohya_by_module()
        if module.startswith("unet.")
    }
    return {**by_diffusers, **by_original}


def block_of(module: str) -> str:
    """The block that a report shows a module under: `unet.down_blocks.1`, `unet.mid_block`, `text_encoder`."""
    part, _, path = module.partition(".")
    if part != "unet":
        return part
    head, *rest = path.split(".")
    return f"unet.{head}.{rest[0]}" if head in ("down_blocks", "up_blocks") else f"unet.{head}"


def whole_path(path: str) -> str:
    """A path in a part of the model, with the `text_model.` level that CLIPTextModel of transformers 5 has not."""
    return re.sub(r"^(text_encoder(?:_2)?)\.encoder\.", r"\1.text_model.encoder.", path)


def path_in(model: nn.Module, module: str) -> str:
    """Where a model has a module of that name; CLIPTextModel of transformers 5 has no `text_model.` level."""
    path = module.partition(".")[2]
    return path if hasattr(model, "text_model") else path.removeprefix("text_model.")
