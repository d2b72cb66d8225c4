"""kohya's LoRA key names: SDXL's original module paths, written with underscores.

Source: the UNet of Stability AI's generative-models (`openaimodel.py`), and kohya-ss/sd-scripts for the form.
"""

import re

from spritelora.errors import WeightsError

PREFIX = "lora_unet_"

RESNET_PARTS = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OUTER_LAYERS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
}
BLOCK_LAYER = re.compile(r"(down_blocks|up_blocks)\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
MID_LAYER = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def original_path(path: str, layers_per_block: int, attention_up_blocks: frozenset[int]) -> str:
    """SDXL's original path of a UNet layer that diffusers calls `path`.

    `attention_up_blocks`: indices of the up blocks that have attention, where an upsampler stands one place later.
    Raises WeightsError for a path that has no original.
    """
    if path in OUTER_LAYERS:
        return OUTER_LAYERS[path]
    stride = layers_per_block + 1
    if match := MID_LAYER.fullmatch(path):
        kind, index, rest = match[1], int(match[2]), match[3]
        place = 1 if kind == "attentions" else 2 * index
        return f"middle_block.{place}.{_inner(kind, rest, path)}"
    if match := BLOCK_LAYER.fullmatch(path):
        side, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
        place = 1 if kind == "attentions" else 0
        if side == "down_blocks":
            number = block * stride + (stride if kind == "downsamplers" else layer + 1)
            return f"input_blocks.{number}.{place}.{_inner(kind, rest, path)}"
        number = block * stride + (layers_per_block if kind == "upsamplers" else layer)
        if kind == "upsamplers":
            place = 2 if block in attention_up_blocks else 1
        return f"output_blocks.{number}.{place}.{_inner(kind, rest, path)}"
    raise WeightsError(f"layer {path} has no name in SDXL's original checkpoint, so no program would load it")


def kohya_module(original: str) -> str:
    """The kohya module name of an original path."""
    return PREFIX + original.replace(".", "_")


def _inner(kind: str, rest: str, path: str) -> str:
    if kind == "attentions":
        return rest
    names = RESNET_PARTS if kind == "resnets" else {"conv": "op" if kind == "downsamplers" else "conv"}
    if rest not in names:
        raise WeightsError(f"layer {path} has no name in SDXL's original checkpoint, so no program would load it")
    return names[rest]
