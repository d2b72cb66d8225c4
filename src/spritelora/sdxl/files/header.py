"""The contents of a single file by its header alone, and whether that is SDXL."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spritelora.errors import WeightsError
from spritelora.weight_files.container import open_tensors
from spritelora.weight_files.contents import UNET, Contents, Shapes, contents_of, has

FLOATS = {"F64", "F32", "F16", "BF16"}
EIGHT_BIT_FLOATS = {"F8_E4M3", "F8_E5M2"}


@dataclass(frozen=True)
class Header:
    """`shapes`: of each tensor; `dtypes`: safetensors' names of the number formats that occur."""

    file: Path
    shapes: Shapes
    dtypes: frozenset[str]
    metadata: Mapping[str, str]


def read_header(file: Path) -> Header:
    """Raises WeightsError, naming what the file is instead, for what is not a whole safetensors file."""
    with open_tensors(file) as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        dtypes = frozenset(part.get_dtype() for part in slices.values())
        return Header(file, shapes, dtypes, dict(opened.metadata() or {}))


NEEDED = {
    UNET: "UNet",
    "conditioner.embedders.0.transformer.": "first text encoder",
    "conditioner.embedders.1.model.": "second text encoder",
}


def check_is_sdxl_file(header: Header, needs_vae: bool) -> None:
    """Raise WeightsError, naming what the file holds instead, unless it is a whole SDXL model."""
    contents = contents_of(header.shapes)
    if contents is not None and contents.key != "model.path":
        raise WeightsError(f"{header.file}: not SDXL: it holds {contents.name}; {_remedy(contents)}")
    needed = {**NEEDED, **({"first_stage_model.": "VAE"} if needs_vae else {})}
    missing = [part for beginning, part in needed.items() if not has(beginning)(header.shapes)]
    if len(missing) == len(needed):
        first = ", ".join(sorted(header.shapes)[:3]) or "no tensors at all"
        raise WeightsError(f"{header.file}: not SDXL, nor known otherwise: it holds {first}; give an SDXL model")
    if missing:
        remedy = "; a VAE can be given as model.vae=FILE" if missing == ["VAE"] else "; give the whole model"
        raise WeightsError(f"{header.file}: SDXL parts are missing: {', '.join(missing)}{remedy}")
    check_is_float(header)


def _remedy(contents: Contents) -> str:
    if contents.key is not None:
        return f"such a file is given as {contents.key}="
    return contents.instead or "give an SDXL model"


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
