"""The tiny SDXL: SDXL's classes and structure at a size that a CPU trains; one latent cell to a native pixel."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from spritelora.embedded.model.tiny_vae import build_vae
from spritelora.errors import WeightsError, first_line
from spritelora.files import JsonObject, read_json
from spritelora.sdxl.files.tiny_tokenizer import END, TEXT_TOKENS, build_tokenizer, write_tokenizer
from spritelora.weight_files.container import read_tensors

RESOLUTION_PX = 128

TOKEN_STD = 0.7
"""CLIP's 0.02 would leave the penultimate state, which has no final norm, too small to steer the UNet."""


@dataclass(frozen=True)
class Shape:
    """Widths and numbers of heads: of the UNet's three levels, and of the two text encoders."""

    channels: tuple[int, int, int]
    heads: tuple[int, int, int]
    text_widths: tuple[int, int]
    text_heads: tuple[int, int]


TINY = Shape(channels=(48, 96, 128), heads=(3, 6, 8), text_widths=(64, 96), text_heads=(4, 6))


@dataclass(frozen=True)
class TinySdxl:
    """The parts of the pipeline, named as diffusers names their folders.

    Untyped, for the annotations of diffusers and transformers name unions of what their parts may be elsewhere. They
    are CLIPTokenizer twice, CLIPTextModel, CLIPTextModelWithProjection, UNet2DConditionModel, AutoencoderKL and
    EulerDiscreteScheduler.
    """

    tokenizer: Any
    tokenizer_2: Any
    text_encoder: Any
    text_encoder_2: Any
    unet: Any
    vae: Any
    scheduler: Any


def build_parts(seed: int, words: Sequence[str], shape: Shape) -> TinySdxl:
    """The parts of a small SDXL in fp32, with random weights that depend on the seed alone.

    `words`: what its tokenizers have as single tokens.
    """
    tokenizer, tokenizer_2 = build_tokenizer(words, END), build_tokenizer(words, "!")
    (width, heads), (width_2, heads_2) = zip(shape.text_widths, shape.text_heads, strict=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(text_config(tokenizer, width, heads, activation="quick_gelu"))
        text_encoder_2 = CLIPTextModelWithProjection(text_config(tokenizer_2, width_2, heads_2, activation="gelu"))
        for encoder in (text_encoder, text_encoder_2):
            tokens: Any = encoder.get_input_embeddings()
            torch.nn.init.normal_(tokens.weight, std=TOKEN_STD)
        unet = UNet2DConditionModel(**unet_config(shape))
        vae = build_vae(RESOLUTION_PX)
    return TinySdxl(tokenizer, tokenizer_2, text_encoder, text_encoder_2, unet, vae, build_scheduler())


def text_config(tokenizer: Any, width: int, heads: int, activation: str) -> CLIPTextConfig:
    """An encoder's configuration; three layers, so that the second to last state has seen words combine twice."""
    end_id = tokenizer.eos_token_id
    # transformers pools at the highest token id, not at the end token, where eos_token_id is 2.
    assert end_id == len(tokenizer) - 1
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=3,
        num_attention_heads=heads,
        max_position_embeddings=TEXT_TOKENS,
        hidden_act=activation,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def unet_config(shape: Shape) -> JsonObject:
    """SDXL's three-level UNet, with attention on the lower two levels."""
    size_embedding = 32
    return {
        "sample_size": RESOLUTION_PX // 8,
        "block_out_channels": shape.channels,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
        "transformer_layers_per_block": (1, 1, 2),
        "attention_head_dim": shape.heads,
        "norm_num_groups": 16,
        "cross_attention_dim": sum(shape.text_widths),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": size_embedding,
        "projection_class_embeddings_input_dim": shape.text_widths[1] + 6 * size_embedding,
    }


def build_scheduler() -> EulerDiscreteScheduler:
    """SDXL's scheduler."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        interpolation_type="linear",
        use_karras_sigmas=False,
        timestep_spacing="leading",
        steps_offset=1,
    )


def write_parts(parts: TinySdxl, folder: Path, dtype: torch.dtype) -> None:
    """Write the parts as a plain diffusers folder of safetensors; the parts are converted to `dtype` in place."""
    # Here, for the pipeline's module takes seconds to import, and training does without it.
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

    pipeline: Any = StableDiffusionXLPipeline(**vars(parts), add_watermarker=False)
    pipeline.to(dtype)
    pipeline.save_pretrained(folder, safe_serialization=True)
    for encoder in ("text_encoder", "text_encoder_2"):
        declare_float32(folder / encoder / "config.json")
    write_tokenizer(parts.tokenizer, folder / "tokenizer")
    write_tokenizer(parts.tokenizer_2, folder / "tokenizer_2")


def load_denoiser(parts: TinySdxl, folder: Path) -> None:
    """Put the weights of a base's UNet and text encoders into `parts`, in fp32. Raises WeightsError if they differ.

    The base may know fewer words: tokens that it lacks keep the weights they have.
    """
    for name, tokenizer in (("unet", ""), ("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")):
        file = folder / name / ("diffusion_pytorch_model.safetensors" if name == "unet" else "model.safetensors")
        tensors = read_tensors(file)
        if tokenizer:
            known = read_vocabulary(folder / tokenizer / "vocab.json")
            add_tokens(tensors, known, getattr(parts, tokenizer).get_vocab(), getattr(parts, name))
        try:
            getattr(parts, name).load_state_dict(tensors)
        except RuntimeError as error:
            raise WeightsError(f"{file}: not the weights of a tiny SDXL's {name} ({first_line(error)})") from error


def read_vocabulary(file: Path) -> dict[str, int]:
    """A tokenizer's tokens with their numbers. Raises WeightsError for a file that is missing or holds none."""
    try:
        content = read_json(file)
        return {str(token): int(number) for token, number in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{file}: cannot be read as a vocabulary ({error}); give a folder that make_base wrote"
        ) from error


def add_tokens(tensors: dict[str, Tensor], known: dict[str, int], wanted: dict[str, int], encoder: Any) -> None:
    """Bring the token embeddings among a text encoder's tensors into the order of another vocabulary."""
    name = next((name for name in tensors if name.endswith("token_embedding.weight")), None)
    if name is None or known == wanted:
        return
    rows: Tensor = encoder.get_input_embeddings().weight.detach().float().clone()
    shared = [token for token in wanted if token in known]
    if tensors[name].shape[1] == rows.shape[1]:
        rows[[wanted[token] for token in shared]] = tensors[name][[known[token] for token in shared]].float()
        tensors[name] = rows


def declare_float32(config_path: Path) -> None:
    """Name fp32 as an encoder's working type.

    transformers 5 loads an encoder in the type its configuration names, where diffusers loads the UNet in fp32: with
    fp16 here, a pipeline loaded without a dtype would mix the two and fail at its first step.
    """
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config_path.write_text(json.dumps({**config, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8", newline="\n")
