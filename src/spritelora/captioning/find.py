"""Where a captioner's files are: a folder, or the hub, whose files are fetched. Checked before torch is imported."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from spritelora.errors import WeightsError, first_line
from spritelora.files import is_hub_id

FETCHED_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".safetensors"}
HUB_TIMEOUT_S = 20
REMEDY = "give a folder with an image-to-text model of transformers in safetensors: captioner=/path/to/"


def find_captioner(name: str) -> Path:
    """The folder of a captioner's files, downloaded where they are not cached.

    Raises WeightsError for what is neither a folder of a model nor to be had from the hub.
    """
    remedy = REMEDY + (name.rstrip("/").rpartition("/")[2] or "blip2-opt-2.7b")
    folder = Path(name)
    if not folder.is_dir():
        if not is_hub_id(name) or folder.is_file():
            raise WeightsError(f"captioner={name}: no such folder, and not a hub id; {remedy}")
        folder = _fetch(name, remedy)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"captioner={name}: no config.json in {folder}, so no model of transformers; {remedy}")
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(
            f"captioner={name}: no safetensors weights in {folder}, and pickles are not read; save the model again "
            f"with save_pretrained, or choose another captioner"
        )
    return folder


def files_to_fetch(listing: Sequence[str]) -> list[str]:
    """The files of a hub model that loading reads: configuration, vocabulary, and safetensors in full precision."""
    return [f for f in listing if "/" not in f and Path(f).suffix in FETCHED_SUFFIXES and ".fp16" not in f]


def _fetch(repository: str, remedy: str) -> Path:
    from huggingface_hub import model_info, snapshot_download

    try:
        listing = [file.rfilename for file in model_info(repository, timeout=HUB_TIMEOUT_S).siblings or []]
        return Path(snapshot_download(repository, allow_patterns=files_to_fetch(listing)))
    except Exception as error:  # the hub client raises many kinds, from HTTP libraries too
        with suppress(Exception):
            return Path(snapshot_download(repository, local_files_only=True))
        raise WeightsError(
            f"captioner={repository}: neither a local folder nor to be had from the hub ({first_line(error)}); {remedy}"
        ) from error
