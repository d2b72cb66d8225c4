"""The tokens of captions, counted as a model's text encoder will take them, without torch."""

from functools import lru_cache
from pathlib import Path

from transformers import CLIPTokenizerFast  # pyright: ignore[reportAttributeAccessIssue] (exported lazily)

from spritelora.errors import WeightsError, first_line
from spritelora.files import is_hub_id


class TokenCounter:
    """A tokenizer that counts. `name`: what it is called in messages."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load it from the folder of an SDXL model. Raises WeightsError where that holds none."""
        try:
            self._tokenizer = CLIPTokenizerFast.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
        except Exception as error:  # transformers raises many kinds
            raise WeightsError(
                f"{folder / 'tokenizer'}: no tokenizer of SDXL ({first_line(error)}); "
                f"model.path names a diffusers folder of an SDXL model or its hub id"
            ) from error
        self.name = name
        self.count = lru_cache(maxsize=None)(self._count)

    def _count(self, caption: str) -> int:
        """The tokens of a caption, with the marks of begin and end."""
        return len(self._tokenizer(caption, verbose=False).input_ids)

    def cut(self, caption: str) -> str:
        """The end of a caption that does not fit, as it is written; empty where all fits."""
        found = self._tokenizer(caption, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts = [start for start, _ in found["offset_mapping"]]
        room = self._tokenizer.model_max_length - 2
        return caption[starts[room] :] if len(starts) > room else ""


def find_tokenizer(path: str) -> Path:
    """The folder of an SDXL model whose tokenizer counts; of a hub id, the tokenizer alone is fetched.

    Raises WeightsError where it cannot be had.
    """
    folder = Path(path)
    if folder.is_dir() or not is_hub_id(path):
        return folder
    return _fetch_tokenizer(path)


def _fetch_tokenizer(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=["tokenizer/*"]))
    except Exception as error:  # the hub client raises many kinds
        raise WeightsError(
            f"model.path={repository}: neither a local folder nor to be had from the hub ({first_line(error)}); "
            f"give a folder: model.path=/path/to/{repository.rpartition('/')[2]}"
        ) from error
