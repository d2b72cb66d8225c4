"""What a safetensors file holds, read from its header alone; and what a file that is not SDXL's is instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from spritelora.errors import WeightsError, first_line

UNET = "model.diffusion_model."
FIRST_CONV = f"{UNET}input_blocks.0.0.weight"
CROSS_ATTENTION = f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
FLOATS = {"F64", "F32", "F16", "BF16"}
EIGHT_BIT_FLOATS = {"F8_E4M3", "F8_E5M2"}

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Header:
    """`shapes`: of each tensor; `dtypes`: safetensors' names of the number formats that occur."""

    file: Path
    shapes: Shapes
    dtypes: frozenset[str]
    metadata: Mapping[str, str]


def read_header(file: Path) -> Header:
    """Raises WeightsError for what is not a whole safetensors file; a pickle is never opened as one."""
    with file.open("rb") as stream:
        start = stream.read(9)
    is_pickle = (
        start.startswith((b"\x80", b"PK\x03\x04")) and start[8:] != b"{"
    )  # safetensors has any 8 bytes before it
    if is_pickle or file.suffix in PICKLES:
        raise WeightsError(
            f"{file}: a pickle, which can run any code when read, so it is not; convert it to safetensors "
            f"where you trust it, or fetch the model's .safetensors"
        )
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            dtypes = frozenset(part.get_dtype() for part in slices.values())
            return Header(file, shapes, dtypes, dict(opened.metadata() or {}))
    except (SafetensorError, OSError) as error:
        size_gb = file.stat().st_size / 1e9
        raise WeightsError(
            f"{file}: not a whole safetensors file of {size_gb:.3g} GB ({first_line(error)}): "
            f"cut short or not one at all; fetch it again"
        ) from error


def _has(*beginnings: str) -> Callable[[Shapes], bool]:
    return lambda shapes: any(name.startswith(beginnings) for name in shapes)


def _width(name: str, dimension: int, value: int) -> Callable[[Shapes], bool]:
    return lambda shapes: name in shapes and shapes[name][dimension:][:1] == (value,)


def _is_lora(shapes: Shapes) -> bool:
    marks = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lokr_", ".hada_", ".lora.down.", ".lora.up.")
    return any(mark in name for name in shapes for mark in marks)


STRANGERS: tuple[tuple[Callable[[Shapes], bool], str], ...] = (
    (_is_lora, "a LoRA, not a base model; to draw with it give it as lora="),
    (_has("model.diffusion_model.double_blocks.", "double_blocks.", "transformer.single_transformer_"), "FLUX"),
    (_has("model.diffusion_model.joint_blocks.", "joint_blocks."), "Stable Diffusion 3"),
    (_has("control_model.", "controlnet_cond_embedding."), "a ControlNet, not a base model"),
    (_has("edm_mean", "edm_vpred."), "an SDXL of another noise schedule (EDM), which is not trained here"),
    (_width(FIRST_CONV, 1, 9), "an inpainting model (9 input channels); give the model it was made from"),
    (_width(FIRST_CONV, 1, 8), "an editing model (8 input channels); give the model it was made from"),
    (_has("conditioner.embedders.0.model."), "the SDXL refiner; give the base, sd_xl_base_1.0.safetensors"),
    (_width(CROSS_ATTENTION, 1, 1024), "Stable Diffusion 2"),
    (_has("cond_stage_model.model."), "Stable Diffusion 2"),
    (_width(CROSS_ATTENTION, 1, 768), "Stable Diffusion 1.5"),
    (_has("cond_stage_model."), "Stable Diffusion 1.5"),
    (_has("down_blocks.", "text_model.", "encoder.", "decoder."),
     "a part of a model, not a whole one; give the diffusers folder it belongs to"),
)  # fmt: skip

NEEDED = {
    UNET: "UNet",
    "conditioner.embedders.0.transformer.": "first text encoder",
    "conditioner.embedders.1.model.": "second text encoder",
}


def check_is_sdxl_file(header: Header, needs_vae: bool) -> None:
    """Raise WeightsError, naming what the file holds instead, unless it is a whole SDXL model."""
    for is_it, what in STRANGERS:
        if is_it(header.shapes):
            raise WeightsError(f"{header.file}: not SDXL: it holds {what}")
    needed = {**NEEDED, **({"first_stage_model.": "VAE"} if needs_vae else {})}
    missing = [part for beginning, part in needed.items() if not _has(beginning)(header.shapes)]
    if len(missing) == len(needed):
        first = ", ".join(sorted(header.shapes)[:3]) or "no tensors at all"
        raise WeightsError(f"{header.file}: not SDXL, nor known otherwise: it holds {first}")
    if missing:
        remedy = "; a VAE can be given as model.vae=FILE" if missing == ["VAE"] else "; give the whole model"
        raise WeightsError(f"{header.file}: SDXL parts are missing: {', '.join(missing)}{remedy}")
    check_is_float(header)


def check_is_float(header: Header) -> None:
    """Raise WeightsError for weights in a number format that a plain conversion would turn into garbage."""
    scaled = [name for name in header.shapes if name.endswith(("scale_weight", "weight_scale", "scaled_fp8"))]
    strange = header.dtypes - FLOATS - EIGHT_BIT_FLOATS - {"I64"}
    if scaled or strange:
        found = ", ".join(sorted(strange)) or "scaled fp8"
        raise WeightsError(
            f"{header.file}: quantised weights ({found}), whose values need scales of their own; give the model "
            f"in fp16, bf16 or fp32"
        )
