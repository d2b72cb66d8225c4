"""Random SDXL models, as a diffusers folder and as one file in the original names.

`python -m tests.checkpoints FOLDER` writes both at full size: FOLDER/diffusers and FOLDER/single.safetensors, 6.9 GB
each.
"""

import re
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from spritelora.adapters.files.kohya import original_path
from spritelora.embedded.drawn import caption_words
from spritelora.embedded.random_base import CPU, write_random_base
from spritelora.sdxl.files.geometry import SDXL_TEXT, SDXL_TEXT_2, SDXL_UNET, SDXL_VAE
from spritelora.sdxl.files.tiny_tokenizer import END, build_tokenizer, write_tokenizer

VOCABULARY = 698
"""Of the tokenizers that small models are tested with: the words of the sprites that code draws."""

SMALL_UNET: dict[str, Any] = {
    **SDXL_UNET,
    "block_out_channels": (32, 64, 128),
    "attention_head_dim": (1, 1, 2),
    "transformer_layers_per_block": (1, 1, 2),
    "cross_attention_dim": 64 + 128,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 128 + 6 * 32,
}
SMALL_VAE: dict[str, Any] = {**SDXL_VAE, "block_out_channels": (32, 32, 64, 64), "layers_per_block": 1}
SMALL = {"vocab_size": VOCABULARY, "num_hidden_layers": 3, "bos_token_id": 696, "eos_token_id": 697}
SMALL_TEXT: dict[str, Any] = {
    **SDXL_TEXT, **SMALL, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 1, "projection_dim": 64,
}  # fmt: skip
SMALL_TEXT_2: dict[str, Any] = {
    **SDXL_TEXT_2, **SMALL, "hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 2,
    "projection_dim": 128,
}  # fmt: skip


def write_small(folder: Path) -> Path:
    """A small random model in fp16 as `diffusers` and `single.safetensors`, in `folder`, which is returned."""
    return write_random(folder, SMALL_UNET, SMALL_VAE, SMALL_TEXT, SMALL_TEXT_2)


def write_random(folder: Path, unet: Any, vae: Any, text: Any, text_2: Any) -> Path:
    """A random model of these configurations in fp16 in both forms."""
    models = write_random_base(folder / "diffusers", CPU, unet, vae, text, text_2)
    save_file(original_names(models), folder / "single.safetensors", {"format": "pt"})
    if text["vocab_size"] == VOCABULARY:
        write_tokenizers(folder / "diffusers")
    return folder


def write_tokenizers(folder: Path) -> None:
    """Small tokenizers, in the places that they have in a diffusers folder."""
    for name, pad_token in (("tokenizer", END), ("tokenizer_2", "!")):
        tokenizer = build_tokenizer(caption_words(), pad_token)
        assert len(tokenizer) == VOCABULARY
        write_tokenizer(tokenizer, folder / name)


def original_names(models: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of all models under the names of the published checkpoint."""
    states = {name: model.state_dict() for name, model in models.items()}
    found = {f"model.diffusion_model.{_unet_name(n)}": t for n, t in states["unet"].items()}
    found |= {f"first_stage_model.{n}": t for n, t in vae_names(states["vae"]).items()}
    for name, tensor in states["text_encoder"].items():
        found[f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    found |= {f"conditioner.embedders.1.model.{n}": t for n, t in _open_clip(states["text_encoder_2"]).items()}
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _unet_name(name: str) -> str:
    path, _, kind = name.rpartition(".")
    if path == "conv_norm_out":
        return f"out.0.{kind}"
    if match := re.fullmatch(r"(.+\.resnets\.\d+)\.norm([12])", path):
        beside = original_path(f"{match[1]}.conv{match[2]}", 2, frozenset({0, 1}))
        return f"{beside[:-1]}0.{kind}"
    return f"{original_path(path, 2, frozenset({0, 1}))}.{kind}"


def vae_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors in the original names, attention as convolutions of one pixel."""
    names = {
        "mid_block.resnets.0": "mid.block_1", "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0": "mid.attn_1", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v",
        "to_out.0": "proj_out", "conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut",
        ".resnets.": ".block.", "downsamplers.0": "downsample", "upsamplers.0": "upsample",
    }  # fmt: skip
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        is_attention = ".attentions." in name and name.endswith("weight") and tensor.ndim == 2
        for before, after in names.items():
            name = name.replace(before, after)
        name = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
        name = re.sub(r"up_blocks\.(\d)", lambda m: f"up.{3 - int(m[1])}", name)
        found[name] = tensor[:, :, None, None] if is_attention else tensor
    return found


def _open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        "encoder.layers.": "transformer.resblocks.", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "self_attn": "attn", "final_layer_norm": "ln_final",
        "embeddings.token_embedding": "token_embedding",
    }  # fmt: skip
    found = {"text_projection": state["text_projection.weight"].T, "logit_scale": torch.tensor(4.6)}
    for name, tensor in state.items():
        name = name.removeprefix("text_model.")
        for before, after in names.items():
            name = name.replace(before, after)
        if name.startswith("embeddings.position"):
            found["positional_embedding"] = tensor
        elif ".q_proj." in name:
            own = [state["text_model." + n] for n in _siblings(name)]
            found[re.sub(r"q_proj\.", "in_proj_", name)] = torch.cat(own)
        elif not re.search(r"[kv]_proj\.|text_projection|position_ids", name):
            found[name] = tensor
    return found


def _siblings(name: str) -> list[str]:
    layer, kind = re.fullmatch(r"transformer\.resblocks\.(\d+)\.attn\.q_proj\.(\w+)", name).groups()  # pyright: ignore
    return [f"encoder.layers.{layer}.self_attn.{p}_proj.{kind}" for p in "qkv"]


if __name__ == "__main__":
    write_random(Path(sys.argv[1]), SDXL_UNET, SDXL_VAE, SDXL_TEXT, SDXL_TEXT_2)
