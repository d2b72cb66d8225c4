"""Configurations of SDXL's parts from the shapes in a file of the original names.

What shapes do not say (64 channels to an attention head, 32 groups to a norm, activations) is as SDXL has it.
"""

import re

from spritelora.files import JsonObject
from spritelora.sdxl.files.geometry import SDXL_TEXT, SDXL_TEXT_2, SDXL_UNET, SDXL_VAE
from spritelora.weight_files.contents import UNET, Shapes

HEAD = 64
TEXT = "conditioner.embedders.0.transformer.text_model."
TEXT_2 = "conditioner.embedders.1.model."


def unet_config(shapes: Shapes) -> JsonObject:
    """UNet2DConditionModel's settings. `shapes`: of the whole file, for the text encoders' widths are among them."""
    inside = {name.removeprefix(UNET): shape for name, shape in shapes.items() if name.startswith(UNET)}
    downsamplers = sorted(int(n) for n in _numbers(inside, r"input_blocks\.(\d+)\.0\.op\.weight"))
    layers = downsamplers[0] - 1
    firsts = [1, *(number + 1 for number in downsamplers)]
    channels = tuple(inside[f"input_blocks.{n}.0.in_layers.2.weight"][0] for n in firsts)
    depths = [len(_numbers(inside, rf"input_blocks\.{n}\.1\.transformer_blocks\.(\d+)\.")) for n in firsts]
    crossing = next(shape for name, shape in inside.items() if name.endswith("attn2.to_k.weight"))
    pooled, added = shapes[f"{TEXT_2}text_projection"][1], inside["label_emb.0.0.weight"][1]
    return {
        **SDXL_UNET,
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        "up_block_types": tuple("CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)),
        "transformer_layers_per_block": tuple(depth or 1 for depth in depths),
        "attention_head_dim": tuple(max(1, width // HEAD) for width in channels),
        "cross_attention_dim": crossing[1],
        "addition_time_embed_dim": (added - pooled) // 6,
        "projection_class_embeddings_input_dim": added,
    }


def vae_config(shapes: Shapes) -> JsonObject:
    """AutoencoderKL's settings, from the original names or diffusers' own, without a prefix."""
    first_conv = re.compile(r"encoder\.down(?:_blocks)?\.(\d+)\.(?:block|resnets)\.0\.conv1\.weight")
    found = {int(match[1]): shape[0] for name, shape in shapes.items() if (match := first_conv.fullmatch(name))}
    layers = _numbers(shapes, r"encoder\.down(?:_blocks)?\.0\.(?:block|resnets)\.(\d+)\.")
    return {
        **SDXL_VAE,
        "block_out_channels": tuple(found[level] for level in sorted(found)),
        "down_block_types": ("DownEncoderBlock2D",) * len(found),
        "up_block_types": ("UpDecoderBlock2D",) * len(found),
        "layers_per_block": len(layers),
    }


def text_config(shapes: Shapes) -> JsonObject:
    """The first encoder's CLIPTextConfig settings."""
    vocabulary, width = shapes[f"{TEXT}embeddings.token_embedding.weight"]
    return {
        **SDXL_TEXT,
        **_text_sizes(vocabulary, width, shapes[f"{TEXT}encoder.layers.0.mlp.fc1.weight"][0]),
        "num_hidden_layers": len(_numbers(shapes, re.escape(TEXT) + r"encoder\.layers\.(\d+)\.")),
        "projection_dim": width,
    }


def text_2_config(shapes: Shapes) -> JsonObject:
    """The second encoder's CLIPTextConfig settings."""
    vocabulary, width = shapes[f"{TEXT_2}token_embedding.weight"]
    return {
        **SDXL_TEXT_2,
        **_text_sizes(vocabulary, width, shapes[f"{TEXT_2}transformer.resblocks.0.mlp.c_fc.weight"][0]),
        "num_hidden_layers": len(_numbers(shapes, re.escape(TEXT_2) + r"transformer\.resblocks\.(\d+)\.")),
        "projection_dim": shapes[f"{TEXT_2}text_projection"][1],
    }


def _text_sizes(vocabulary: int, width: int, inner: int) -> JsonObject:
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_attention_heads": max(1, width // HEAD),
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }


def _numbers(shapes: Shapes, pattern: str) -> set[str]:
    return {match[1] for name in shapes if (match := re.match(pattern, name))}
