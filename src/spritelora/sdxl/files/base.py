"""Where a base model's files are, that they are SDXL's, and how its parts are loaded."""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor, nn

from spritelora.config.train.schema import Prediction
from spritelora.diffusion.schedule import cumulative_alphas, to_zero_terminal_snr
from spritelora.errors import WeightsError, first_line
from spritelora.files import JsonObject, is_hub_id, write_whole
from spritelora.sdxl.files.parts import FolderPart, Part, read_json
from spritelora.sdxl.files.single_file import open_single_file, open_vae
from spritelora.sdxl.files.tokenizer_files import TokenizerPart
from spritelora.weight_files.container import PICKLES

Unet = UNet2DConditionModel
Sampler = EulerDiscreteScheduler
Autoencoder = AutoencoderKL

PARTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}

TOKENIZERS = ("tokenizer", "tokenizer_2")

T = TypeVar("T")


@dataclass(frozen=True)
class BaseModel:
    """An SDXL model on disk. `name`: what the user called it; `folder`: its diffusers folder, or its single file.

    `parts`: those that are not in sub-folders of `folder`.
    """

    name: str
    folder: Path
    parts: Mapping[str, Part] = field(default_factory=dict)

    def part(self, part: str) -> Part:
        """One part, by the name of its folder in a diffusers model."""
        return self.parts.get(part) or FolderPart(self.folder / part)

    def weights(self, part: str) -> Path:
        """The safetensors file (or the index of several) that a part's weights are read from."""
        return self.part(part).weights()

    @property
    def title(self) -> str:
        """The model's name without the folders of this machine."""
        return self.folder.name if Path(self.name).exists() else self.name

    @property
    def zeros_for_empty_prompt(self) -> bool:
        """Whether guidance without a negative prompt moves away from zeros, as SDXL base does."""
        if self.folder.is_file():
            return True
        return bool(read_json(self.folder / "model_index.json").get("force_zeros_for_empty_prompt", True))

    def config(self, part: str) -> JsonObject:
        """A part's configuration."""
        return self.part(part).config()


def find_base(path: str, vae: str | None = None, tokenizer: str | None = None) -> BaseModel:
    """The base model in a file, in a folder, or at a hub id, whose files are fetched where they are not cached.

    `vae`: file or folder to take the autoencoder from; `tokenizer`: folder to take the tokenizers from. Raises
    WeightsError where nothing is found or what is found is not SDXL.
    """
    place = Path(path)
    if place.is_file():
        parts = open_single_file(place, needs_vae=vae is None)
    elif place.is_dir():
        parts = {}
    elif not is_hub_id(path) or place.suffix in (".safetensors", *PICKLES):
        raise WeightsError(
            f"model.path={path}: no such file or folder; give a .safetensors file or a diffusers folder of an SDXL "
            f"model, or a hub id"
        )
    else:
        place, parts = fetch_from_hub(path), {}
    if place.is_dir():
        check_is_sdxl(BaseModel(path, place))
    if vae is not None:
        parts["vae"] = open_vae(vae)
    if tokenizer is not None or place.is_file():
        parts |= {label: TokenizerPart(label, place, tokenizer) for label in TOKENIZERS}
    return BaseModel(path, place, parts)


def fetch_from_hub(repository: str) -> Path:
    """The local folder of a hub model, downloaded where needed; offline, what an earlier download left.

    Raises WeightsError where it cannot be had.
    """
    from huggingface_hub import list_repo_files, snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=files_to_fetch(list_repo_files(repository))))
    except Exception as error:  # the hub client raises many kinds, from HTTP libraries too
        with suppress(Exception):
            return Path(snapshot_download(repository, local_files_only=True))
        raise WeightsError(
            f"model.path={repository}: neither a local folder nor to be had from the hub ({first_line(error)}); "
            f"give a diffusers folder or a single file: model.path=/path/to/{repository.rpartition('/')[2]} or "
            f"model.path=/path/to/FILE.safetensors, or use model=tiny"
        ) from error


def cached_hub_folder(repository: str) -> Path | None:
    """The local folder of a hub model that was fetched before; None where it was not, or not whole."""
    from huggingface_hub import snapshot_download

    with suppress(Exception):  # the hub client raises many kinds
        folder = Path(snapshot_download(repository, local_files_only=True))
        check_is_sdxl(BaseModel(repository, folder))
        return folder
    return None


def hub_answers(repository: str, seconds: float = 3.0) -> bool:
    """Whether the hub can be asked for a model now."""
    from huggingface_hub import HfApi

    with suppress(Exception):  # the hub client raises many kinds, from HTTP libraries too
        return bool(HfApi().model_info(repository, timeout=seconds).id)
    return False


def files_to_fetch(listing: Sequence[str]) -> list[str]:
    """The files of a hub model that training reads: each part once, in fp16 where there is that, the VAE in full."""
    wanted = [f for f in listing if f == "model_index.json" or re.match(r"(scheduler|tokenizer|tokenizer_2)/", f)]
    for part, stem in PARTS.items():
        inside = [f for f in listing if f.startswith(f"{part}/")]
        half = f"{part}/{stem}.fp16.safetensors"
        whole = [f for f in inside if re.fullmatch(rf"{part}/{stem}(-\d+-of-\d+)?\.safetensors(\.index\.json)?", f)]
        wanted += [f"{part}/config.json", *([half] if half in inside and (part != "vae" or not whole) else whole)]
    return wanted


def check_is_sdxl(base: BaseModel) -> None:
    """Raise WeightsError, saying what the folder holds instead, unless it is a whole SDXL model."""
    index_file = base.folder / "model_index.json"
    if not index_file.is_file():
        raise WeightsError(f"{base.folder}: no model_index.json, so not a diffusers folder of an SDXL model")
    kind = read_json(index_file).get("_class_name")
    if not str(kind).startswith("StableDiffusionXL"):
        raise WeightsError(f"{base.folder}: holds a {kind}, not SDXL; a LoRA for it would not load elsewhere")
    missing = [p for p in (*PARTS, *TOKENIZERS, "scheduler") if not (base.folder / p).is_dir()]
    if missing:
        raise WeightsError(f"{base.folder}: SDXL parts are missing: {', '.join(missing)}; fetch the whole model")
    unet = base.config("unet")
    if unet.get("addition_embed_type") != "text_time" or unet.get("in_channels") != 4:
        raise WeightsError(
            f"{base.folder}/unet: not SDXL's UNet (in_channels {unet.get('in_channels')}, "
            f"addition_embed_type {unet.get('addition_embed_type')})"
        )
    for part in PARTS:
        FolderPart(base.folder / part).check()


def read_prediction(base: BaseModel, asked: Prediction) -> Prediction:
    """The UNet's kind of prediction: as asked, or as the model's scheduler says."""
    if asked is not Prediction.auto:
        return asked
    return Prediction(base.config("scheduler").get("prediction_type", "epsilon"))


def read_zero_snr(base: BaseModel, asked: bool | None) -> bool:
    """Whether the last timestep is noise alone: as asked, or as the model's scheduler says."""
    return bool(base.config("scheduler").get("rescale_betas_zero_snr")) if asked is None else asked


def read_alphas(base: BaseModel, zero_snr: bool | None = None) -> Tensor:
    """The cumulative alphas of the model's noise schedule, (T,) float64. `zero_snr`: None as its scheduler says."""
    config = base.config("scheduler")
    if config.get("beta_schedule") != "scaled_linear":
        raise WeightsError(
            f"{base.folder}/scheduler: noise schedule {config.get('beta_schedule')}; SDXL's own is scaled_linear"
        )
    alphas = cumulative_alphas(config["num_train_timesteps"], config["beta_start"], config["beta_end"])
    return to_zero_terminal_snr(alphas) if read_zero_snr(base, zero_snr) else alphas


def load_unet(base: BaseModel, dtype: torch.dtype, device: torch.device | None = None) -> Unet:
    """The UNet, frozen. `device`: None for the CPU."""
    unet = base.part("unet").load(UNet2DConditionModel, dtype).requires_grad_(False)
    nn.Module.to(unet, device)
    return unet


def empty_unet(base: BaseModel) -> Unet:
    """The UNet's structure without numbers: every weight has its shape and no memory."""
    with torch.device("meta"):
        return cast(Unet, UNet2DConditionModel.from_config(base.config("unet")))


def convert_unet(base: BaseModel, convert: Callable[[str, Tensor], T]) -> dict[str, T]:
    """The UNet's weights by name, each mapped from its file and converted, one after the other.

    Raises WeightsError where they are not those of the UNet that the configuration describes.
    """
    file = base.weights("unet")
    converted = {name: convert(name, tensor) for name, tensor in base.part("unet").tensors().items()}
    if other := sorted(empty_unet(base).state_dict().keys() ^ converted.keys()):
        raise WeightsError(f"{file}: not the UNet of its configuration: {len(other)} tensors differ, first {other[0]}")
    return converted


def file_states(base: BaseModel) -> list[tuple[str, int, int]]:
    """Path, size and time of change of every file of the model: equal where nothing was replaced."""
    parts = [base.part(name) for name in (*PARTS, *TOKENIZERS, "scheduler")]
    states = [(file, file.stat()) for file in sorted({f for part in parts for f in part.sources().values()})]
    return [(str(file.resolve()), state.st_size, state.st_mtime_ns) for file, state in states]


def load_vae(base: BaseModel, device: torch.device) -> AutoencoderKL:
    """The autoencoder in fp32, frozen: the SDXL VAE overflows fp16."""
    vae = base.part("vae").load(AutoencoderKL, torch.float32)
    return vae.requires_grad_(False).eval().to(device)


def load_scheduler(base: BaseModel, prediction: Prediction, zero_snr: bool | None = None) -> Sampler:
    """Euler's sampler over the model's own noise schedule. `zero_snr`: None as its scheduler says.

    With zero terminal SNR it starts at the last timestep, for there alone is the start noise what training showed.
    """
    arguments = {**_scheduler_arguments(base), "prediction_type": prediction.value}
    if read_zero_snr(base, zero_snr):
        arguments |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    elif zero_snr is False:
        arguments |= {"rescale_betas_zero_snr": False}
    return EulerDiscreteScheduler(**arguments)


def _scheduler_arguments(base: BaseModel) -> JsonObject:
    accepted = inspect.signature(EulerDiscreteScheduler.__init__).parameters
    return {k: v for k, v in base.config("scheduler").items() if k in accepted}


def fingerprint(base: BaseModel, part: str, memo: Path) -> str:
    """SHA-256 over a part's configuration and weights; hashed once for each state of a file, noted in `memo`."""
    digest = hashlib.sha256()
    for label, file in base.part(part).sources().items():
        digest.update(f"{label}\0{_file_hash(file, memo)}\0".encode())
    return digest.hexdigest()


def fingerprints(base: BaseModel, memo: Path) -> dict[str, str]:
    """The fingerprint of every part that has weights."""
    return {part: fingerprint(base, part, memo) for part in PARTS}


def _file_hash(file: Path, memo: Path) -> str:
    state = file.stat()
    key = hashlib.sha256(f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()
    note = memo / key
    if note.is_file() and re.fullmatch(r"[0-9a-f]{64}", text := note.read_text(encoding="ascii", errors="replace")):
        return text
    with file.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").hexdigest()
    memo.mkdir(parents=True, exist_ok=True)
    write_whole(note, value)
    return value
