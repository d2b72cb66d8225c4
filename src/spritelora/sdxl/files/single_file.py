"""SDXL as one safetensors file in the names it was published with, and VAEs in files of their own."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextConfig, PreTrainedModel

from spritelora.errors import WeightsError, first_line
from spritelora.files import JsonObject
from spritelora.sdxl.files.geometry import SDXL_SCHEDULER
from spritelora.sdxl.files.header import (
    EIGHT_BIT_FLOATS,
    Header,
    check_is_float,
    check_is_sdxl_file,
    read_header,
)
from spritelora.sdxl.files.inferred import TEXT_2, text_2_config, text_config, unet_config, vae_config
from spritelora.sdxl.files.parts import FolderPart, Part, read_json
from spritelora.weight_files.container import open_tensors
from spritelora.weight_files.contents import UNET, Shapes, contents_of

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Convert = Callable[[Tensors, JsonObject], Tensors]

SDXL_VAE_SCALE = 0.13025
VAE = "first_stage_model."
TEXT_ROOT = "conditioner.embedders.0.transformer."


@dataclass(frozen=True)
class FilePart:
    """One part within a file: `label` names it, `prefix` begins its tensors' names, `convert` gives them diffusers'."""

    label: str
    file: Path
    prefix: str
    settings: Mapping[str, Any]
    convert: Convert

    def config(self) -> JsonObject:
        return dict(self.settings)

    def weights(self) -> Path:
        return self.file

    def sources(self) -> Mapping[str, Path]:
        return {self.label: self.file}

    def tensors(self) -> Mapping[str, Tensor]:
        with open_tensors(self.file) as opened:
            names = [name for name in opened.keys() if name.startswith(self.prefix)]  # noqa: SIM118
            return self.convert({name: opened.get_tensor(name) for name in names}, self.config())

    def load(self, kind: Any, dtype: torch.dtype | None = None) -> Any:
        """Each tensor goes from the mapped file to its place in `dtype`, so that memory holds the model once."""
        from accelerate import init_empty_weights

        with init_empty_weights():
            is_text = issubclass(kind, PreTrainedModel)
            model = kind(CLIPTextConfig(**self.config())) if is_text else kind(**self.config())
        wanted = model.state_dict()
        state: Tensors = {}
        for name, tensor in self.tensors().items():
            # transformers 5 has no level of this name in the first encoder, and has it in the second.
            own = name if name in wanted else name.removeprefix("text_model.")
            state[own] = tensor.to(dtype, copy=True)
        self._check(wanted, state)
        model.load_state_dict(state, assign=True)
        return model.eval()

    def _check(self, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        missing, more = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
        other = sorted(n for n in wanted.keys() & state.keys() if wanted[n].shape != state[n].shape)
        if wrong := missing + more + other:
            raise WeightsError(
                f"{self.file}: its {self.label} is not SDXL's: {len(missing)} tensors missing, {len(more)} unknown, "
                f"{len(other)} of another shape, the first {wrong[0]}; distilled and pruned variants do not fit"
            )


def open_single_file(file: Path, needs_vae: bool) -> dict[str, Part]:
    """The parts in a checkpoint of original names, its tokenizers apart.

    Raises WeightsError, naming what the file is, unless it is a whole SDXL model; without VAE where not `needs_vae`.
    """
    header = read_header(file)
    check_is_sdxl_file(header, needs_vae)
    _warn_of_eight_bits(header)
    try:
        parts: dict[str, Part] = {
            "unet": FilePart("unet", file, UNET, unet_config(header.shapes), _convert_unet),
            "text_encoder": FilePart("text_encoder", file, TEXT_ROOT, text_config(header.shapes), _convert_text),
            "text_encoder_2": FilePart("text_encoder_2", file, TEXT_2, text_2_config(header.shapes), _convert_text_2),
            "scheduler": Settings(file, scheduler_config(header)),
        }
        if needs_vae:
            parts["vae"] = FilePart("vae", file, VAE, vae_config(_without(VAE, header.shapes)), _convert_vae)
    except (KeyError, IndexError, StopIteration, ValueError) as error:
        raise WeightsError(
            f"{file}: its tensors are not all SDXL's ({first_line(error)}); distilled and pruned variants do not fit"
        ) from error
    return parts


@dataclass(frozen=True)
class Settings:
    """A part that is a configuration alone."""

    file: Path
    settings: Mapping[str, Any]

    def config(self) -> JsonObject:
        return dict(self.settings)

    def weights(self) -> Path:
        return self.file

    def sources(self) -> Mapping[str, Path]:
        return {}

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def load(self, kind: Any, dtype: torch.dtype | None = None) -> Any:
        return kind.from_config(self.config())


def scheduler_config(header: Header) -> JsonObject:
    """SDXL's noise schedule, with what the file's marks and metadata say about prediction and terminal SNR.

    The empty tensors `v_pred` and `ztsnr` are NoobAI's marks, which ComfyUI reads too. Raises WeightsError for a
    prediction type that is not known.
    """
    told = header.metadata.get("modelspec.prediction_type", "epsilon").lower()
    names = {"epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}
    if told not in names:
        raise WeightsError(f"{header.file}: its metadata names the prediction type {told}; epsilon and v are known")
    is_v = "v_pred" in header.shapes or names[told] == "v_prediction"
    config = {**SDXL_SCHEDULER, "prediction_type": "v_prediction" if is_v else "epsilon"}
    if "ztsnr" in header.shapes:
        # Lin et al. 2024, arXiv:2305.08891: only trailing steps begin where the noise is complete.
        config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return config


def open_vae(path: str) -> Part:
    """A VAE from a file in either naming, from its diffusers folder, or from that of a whole model.

    Raises WeightsError for what is none, or not for SDXL.
    """
    place = Path(path)
    if place.is_dir():
        part = FolderPart(place / "vae" if (place / "vae").is_dir() else place)
        config = read_json(part.folder / "config.json")
        if config.get("_class_name") != "AutoencoderKL" or config.get("scaling_factor") != SDXL_VAE_SCALE:
            raise WeightsError(
                f"model.vae={path}: a {config.get('_class_name')} with scaling factor {config.get('scaling_factor')}; "
                f"SDXL's is an AutoencoderKL with {SDXL_VAE_SCALE}"
            )
        part.check()
        return part
    if not place.is_file():
        raise WeightsError(f"model.vae={path}: no such file or folder; give a VAE's .safetensors or diffusers folder")
    header = read_header(place)
    check_is_float(header)
    prefix = VAE if any(name.startswith(VAE) for name in header.shapes) else ""
    shapes = _without(prefix, header.shapes)
    if not {"encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight"} <= shapes.keys():
        contents = contents_of(header.shapes)
        held = f": it holds {contents.name}" if contents is not None and contents.key != "model.vae" else ""
        raise WeightsError(
            f"model.vae={path}: not the weights of an SDXL VAE{held}; give sdxl_vae.safetensors or its like"
        )
    _warn_of_eight_bits(header)
    is_original = any(name.startswith("encoder.down.") for name in shapes)
    return FilePart("vae", place, prefix, vae_config(shapes), _convert_vae if is_original else _rename_vae)


def _without(prefix: str, shapes: Shapes) -> Shapes:
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}


def _warn_of_eight_bits(header: Header) -> None:
    if header.dtypes & EIGHT_BIT_FLOATS:
        log.warning("%s: weights in fp8, used as they are rounded; the fp16 file draws better", header.file)


def _convert_unet(tensors: Tensors, config: JsonObject) -> Tensors:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    return convert_ldm_unet_checkpoint(tensors, config)


def _convert_vae(tensors: Tensors, config: JsonObject) -> Tensors:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return convert_ldm_vae_checkpoint(tensors, config)


def _rename_vae(tensors: Tensors, _config: JsonObject) -> Tensors:
    """The names that diffusers gave a VAE's attention before 0.18, to today's."""
    old = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        for before, after in old.items():
            name = name.replace(before, after)
        renamed[name] = tensor
    return renamed


def _convert_text(tensors: Tensors, _config: JsonObject) -> Tensors:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint

    return {n: t for n, t in convert_ldm_clip_checkpoint(tensors).items() if not n.endswith("position_ids")}


def _convert_text_2(tensors: Tensors, _config: JsonObject) -> Tensors:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    return convert_open_clip_checkpoint(None, tensors, prefix=TEXT_2)
