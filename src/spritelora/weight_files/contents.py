"""The contents of a file of weights, by the names and shapes of its tensors: SDXL, its parts, LoRAs, other models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]

UNET = "model.diffusion_model."
FIRST_CONV = f"{UNET}input_blocks.0.0.weight"
CROSS_ATTENTION = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
ITS_ORIGIN = "give the model it was made from"
TRAINING_STATE = "/state_dict/"
"""A part of the names of a checkpoint's training state."""


@dataclass(frozen=True)
class Contents:
    """`key`: the configuration key that takes such a file. `instead`: what to give where a base model is wanted."""

    name: str
    key: str | None = None
    instead: str | None = None


def contents_of(shapes: Shapes) -> Contents | None:
    """The kind of tensors with these names and shapes; None for an unknown one."""
    return next((contents for is_it, contents in KNOWN if is_it(shapes)), None)


def has(*beginnings: str) -> Callable[[Shapes], bool]:
    """Whether the name of a tensor begins so."""
    return lambda shapes: any(name.startswith(beginnings) for name in shapes)


def _width(name: str, dimension: int, value: int) -> Callable[[Shapes], bool]:
    return lambda shapes: name in shapes and shapes[name][dimension:][:1] == (value,)


def _is_adapter(shapes: Shapes) -> bool:
    marks = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lokr_", ".hada_", ".lora.down.", ".lora.up.")
    beginnings = ("lora_unet_", "lora_te", "lycoris_", "oft_unet_", "base_model.model.")
    return any(name.startswith(beginnings) or any(mark in name for mark in marks) for name in shapes)


def _is_textual_inversion(shapes: Shapes) -> bool:
    marks = {"clip_l", "clip_g", "emb_params", "text_encoders_0", "text_encoders_1"}
    return bool(shapes) and (shapes.keys() <= marks or has("string_to_param")(shapes))


def _is_vae(shapes: Shapes) -> bool:
    return {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= {
        n.removeprefix("first_stage_model.") for n in shapes
    }


KNOWN: tuple[tuple[Callable[[Shapes], bool], Contents], ...] = (
    (has(TRAINING_STATE), Contents("a checkpoint's training state", instead="the LoRA is lora.safetensors beside it")),
    (has("lora_controlnet"), Contents("a ControlNet-LoRA")),
    (has("lllite_"), Contents("a ControlNet-LLLite")),
    (_is_adapter, Contents("a LoRA", "loras")),
    (_is_textual_inversion, Contents("a textual-inversion embedding")),
    (has("model.diffusion_model.double_blocks.", "double_blocks.", "transformer.single_transformer_",
         "single_transformer_blocks."), Contents("FLUX")),
    (has("model.diffusion_model.joint_blocks.", "joint_blocks."), Contents("Stable Diffusion 3")),
    (has("control_model.", "controlnet_cond_embedding."), Contents("a ControlNet")),
    (has("image_proj.", "ip_adapter."), Contents("an IP-Adapter")),
    (has("adapter.body.", "body.0.resnets.", "body.0.block"), Contents("a T2I-Adapter")),
    (has("edm_mean", "edm_vpred."), Contents("an SDXL of another noise schedule (EDM), which is not trained here")),
    (_width(FIRST_CONV, 1, 9),
     Contents("an inpainting model (9 input channels)", instead=ITS_ORIGIN)),
    (_width(FIRST_CONV, 1, 8), Contents("an editing model (8 input channels)", instead=ITS_ORIGIN)),
    (has("conditioner.embedders.0.model."),
     Contents("the SDXL refiner", instead="give the base, sd_xl_base_1.0.safetensors")),
    (_width(CROSS_ATTENTION, 1, 1024), Contents("Stable Diffusion 2")),
    (has("cond_stage_model.model."), Contents("Stable Diffusion 2")),
    (_width(CROSS_ATTENTION, 1, 768), Contents("Stable Diffusion 1.5")),
    (has("cond_stage_model."), Contents("Stable Diffusion 1.5")),
    (has("conditioner.embedders.", UNET), Contents("an SDXL model", "model.path")),
    (_is_vae, Contents("a VAE", "model.vae")),
    (has("down_blocks.", "text_model.", "encoder.", "decoder.", "vision_model."),
     Contents("a part of a model", instead="give the diffusers folder it belongs to")),
)  # fmt: skip
