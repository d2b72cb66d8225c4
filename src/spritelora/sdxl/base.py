"""Where a base model's files are, that they are SDXL's, and how its parts are loaded."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from safetensors import SafetensorError
from torch import Tensor

from spritelora.config.schema import Prediction
from spritelora.diffusion.schedule import cumulative_alphas, to_zero_terminal_snr
from spritelora.errors import WeightsError, first_line
from spritelora.files import write_whole

Unet = UNet2DConditionModel
Sampler = EulerDiscreteScheduler
Autoencoder = AutoencoderKL

PARTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}


@dataclass(frozen=True)
class BaseModel:
    """An SDXL model on disk as a diffusers folder. `name`: what the user called it."""

    name: str
    folder: Path

    def weights(self, part: str) -> Path:
        """The safetensors file (or the index of several) that a part's weights are read from."""
        stem = PARTS[part]
        for ending in (f"{stem}.safetensors", f"{stem}.safetensors.index.json", f"{stem}.fp16.safetensors"):
            if (file := self.folder / part / ending).is_file():
                return file
        raise WeightsError(
            f"{self.folder / part}: no {stem}.safetensors; weights are read from safetensors files only: "
            f"save the model again with safe_serialization=True"
        )

    def variant(self, part: str) -> str | None:
        """The file-name infix that diffusers and transformers call a variant."""
        return "fp16" if ".fp16." in self.weights(part).name else None

    @property
    def zeros_for_empty_prompt(self) -> bool:
        """Whether guidance without a negative prompt moves away from zeros, as SDXL base does."""
        return bool(read_json(self.folder / "model_index.json").get("force_zeros_for_empty_prompt", True))

    def config(self, part: str) -> dict[str, Any]:
        """A part's configuration."""
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        return read_json(self.folder / part / name)


def find_base(path: str) -> BaseModel:
    """The base model in a folder, or at a hub id, whose files are fetched where they are not cached.

    Raises WeightsError where nothing is found or what is found is not SDXL.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        base = BaseModel(path, folder)
    elif folder.is_file():
        raise WeightsError(f"model.path={path} is a file; give a diffusers folder of an SDXL model or a hub id")
    elif path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise WeightsError(f"model.path={path}: no such folder; give a diffusers folder of an SDXL model or a hub id")
    else:
        base = BaseModel(path, fetch_from_hub(path))
    check_is_sdxl(base)
    return base


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
            f"give a folder: model.path=/path/to/{repository.rpartition('/')[2]}, or use model=tiny"
        ) from error


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
    missing = [p for p in (*PARTS, "tokenizer", "tokenizer_2", "scheduler") if not (base.folder / p).is_dir()]
    if missing:
        raise WeightsError(f"{base.folder}: SDXL parts are missing: {', '.join(missing)}; fetch the whole model")
    unet = base.config("unet")
    if unet.get("addition_embed_type") != "text_time" or unet.get("in_channels") != 4:
        raise WeightsError(
            f"{base.folder}/unet: not SDXL's UNet (in_channels {unet.get('in_channels')}, "
            f"addition_embed_type {unet.get('addition_embed_type')})"
        )
    for part in PARTS:
        base.weights(part)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a model folder. Raises WeightsError that names the file."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{file}: missing; fetch the whole model") from error
    except (ValueError, OSError) as error:
        raise WeightsError(f"{file}: not a JSON file ({error}); fetch the model again") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{file}: not a JSON object; fetch the model again")
    return value


def read_prediction(base: BaseModel, asked: Prediction) -> Prediction:
    """What the UNet predicts: as asked, or as the model's scheduler says."""
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


def load_unet(base: BaseModel, dtype: torch.dtype) -> Unet:
    """The UNet on the CPU, frozen."""
    unet = _load(UNet2DConditionModel.from_pretrained, base, "unet", dtype)
    return unet.requires_grad_(False)


def empty_unet(base: BaseModel) -> Unet:
    """The UNet's structure without numbers: every weight has its shape and no memory."""
    with torch.device("meta"):
        return UNet2DConditionModel.from_config(base.config("unet"))  # pyright: ignore


def file_states(base: BaseModel) -> list[tuple[str, int, int]]:
    """Path, size and time of change of every file of the model: equal where nothing was replaced."""
    states = [(file, file.stat()) for file in sorted(base.folder.glob("*/*"))]
    return [(str(file.resolve()), state.st_size, state.st_mtime_ns) for file, state in states]


def load_vae(base: BaseModel, device: torch.device) -> AutoencoderKL:
    """The autoencoder in fp32, frozen: the SDXL VAE overflows fp16."""
    vae = _load(AutoencoderKL.from_pretrained, base, "vae", torch.float32)
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


def _scheduler_arguments(base: BaseModel) -> dict[str, Any]:
    accepted = inspect.signature(EulerDiscreteScheduler.__init__).parameters
    return {k: v for k, v in base.config("scheduler").items() if k in accepted}


def load_part(load: Callable[..., Any], base: BaseModel, part: str, **options: Any) -> Any:
    """Call a `from_pretrained` on one part, with errors that name the file."""
    try:
        return load(
            str(base.folder / part),
            variant=base.variant(part),
            use_safetensors=True,
            local_files_only=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(
            f"{base.weights(part)}: cannot be loaded ({first_line(error)}); fetch the model again"
        ) from error


def _load(load: Callable[..., Any], base: BaseModel, part: str, dtype: torch.dtype) -> Any:
    return load_part(load, base, part, torch_dtype=dtype, low_cpu_mem_usage=False)


def fingerprint(base: BaseModel, part: str, memo: Path) -> str:
    """SHA-256 over a part's configuration and weights; hashed once for each state of a file, noted in `memo`."""
    files = sorted(p for p in (base.folder / part).iterdir() if p.is_file())
    wanted = {f for f in files if f.suffix == ".json" or f.suffix == ".txt"}
    if part in PARTS:
        weights = base.weights(part)
        shards = [f for f in files if f.suffix == ".safetensors"] if weights.suffix == ".json" else [weights]
        wanted = {base.folder / part / "config.json", *shards}
    digest = hashlib.sha256()
    for file in sorted(wanted):
        digest.update(f"{file.name}\0{_file_hash(file, memo)}\0".encode())
    return digest.hexdigest()


def fingerprints(base: BaseModel, memo: Path) -> dict[str, str]:
    """The fingerprint of every part that has weights."""
    return {part: fingerprint(base, part, memo) for part in PARTS}


def _file_hash(file: Path, memo: Path) -> str:
    state = file.stat()
    key = hashlib.sha256(f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()
    note = memo / key
    if note.is_file() and len(text := note.read_text()) == 64:
        return text
    with file.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").hexdigest()
    memo.mkdir(parents=True, exist_ok=True)
    write_whole(note, value)
    return value
