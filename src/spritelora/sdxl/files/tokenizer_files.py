"""CLIP's tokenizer for models that come without one: from a folder, an earlier download, or an installed package."""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from spritelora.errors import WeightsError, first_line
from spritelora.files import JsonObject
from spritelora.sdxl.files.tiny_tokenizer import END, END_OF_WORD, START, TEXT_TOKENS, byte_letters
from spritelora.weight_files.container import check_settings

NUM_MERGES = 49152 - 256 - 2
"""CLIP's vocabulary: 256 byte letters, twice, and these, and two marks."""

KNOWN_REPOSITORIES = (
    "stabilityai/stable-diffusion-xl-base-1.0",
    "openai/clip-vit-large-patch14",
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
)
VOCABULARY_PACKAGES = ("open_clip", "clip")
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"


@dataclass(frozen=True)
class TokenizerPart:
    """One of SDXL's two tokenizers, which differ in what they pad with. `asked`: model.tokenizer, None to look."""

    label: str
    model: Path
    asked: str | None

    def config(self) -> JsonObject:
        return {}

    def weights(self) -> Path:
        """The folder, or the list of merges, that the vocabulary is read from. Raises WeightsError where none is."""
        if self.asked is not None:
            candidates = folders_in(Path(self.asked), self.label)
        else:
            candidates = (*folders_in(self.model.parent, self.label), *downloaded(self.label), *packaged())
        if (found := next(iter(candidates), None)) is not None:
            return found
        if self.asked is not None:
            raise WeightsError(
                f"model.tokenizer={self.asked}: no tokenizer.json nor vocab.json and merges.txt there; "
                f"give a CLIP tokenizer's folder"
            )
        raise WeightsError(
            f"{self.model}: a single file holds no tokenizer, and none is on this machine; give one of any SDXL "
            f"model: model.tokenizer=FOLDER, or fetch it once: hf download {KNOWN_REPOSITORIES[0]} "
            f"--include 'tokenizer*/*', or pip install open_clip_torch"
        )

    def sources(self) -> Mapping[str, Path]:
        source = self.weights()
        files = [source] if source.is_file() else sorted(f for f in source.iterdir() if f.suffix in (".json", ".txt"))
        return {f"{self.label}/{file.name}": file for file in files}

    def tensors(self) -> Mapping[str, Tensor]:
        return {}

    def load(self, kind: Any = CLIPTokenizer, dtype: torch.dtype | None = None) -> Any:
        """Raises WeightsError for files that are not a tokenizer's."""
        source, pad = self.weights(), END if self.label == "tokenizer" else "!"
        marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": pad}
        try:
            if source.is_dir():
                return kind.from_pretrained(str(source), local_files_only=True, **marks, model_max_length=TEXT_TOKENS)
            merges = read_merges(source)
            return kind(vocab=vocabulary(merges), merges=merges, **marks, model_max_length=TEXT_TOKENS)
        except (OSError, ValueError, TypeError, KeyError) as error:
            check_settings(source)
            raise WeightsError(
                f"{source}: not a CLIP tokenizer's ({first_line(error)}); give another: model.tokenizer=FOLDER"
            ) from error


def folders_in(place: Path, label: str) -> Iterator[Path]:
    """The tokenizer's folder within a model's, or that folder itself."""
    for folder in (place / label, place / "tokenizer", place):
        if (folder / "tokenizer.json").is_file() or all((folder / f).is_file() for f in ("vocab.json", "merges.txt")):
            yield folder


def downloaded(label: str) -> Iterator[Path]:
    """Tokenizers in the hub's cache on this machine; nothing is asked of the network."""
    from huggingface_hub import try_to_load_from_cache

    for repository in KNOWN_REPOSITORIES:
        for folder in (f"{label}/", "tokenizer/", ""):
            for name in ("tokenizer.json", "merges.txt"):
                found = try_to_load_from_cache(repository, folder + name)
                if isinstance(found, str):
                    yield from folders_in(Path(found).parent, label)


def packaged() -> Iterator[Path]:
    """CLIP's list of merges in installed packages, which are looked at but not imported."""
    for package in VOCABULARY_PACKAGES:
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            if (file := Path(folder) / VOCABULARY).is_file():
                yield file


def read_merges(file: Path) -> list[tuple[str, str]]:
    """CLIP's merges from the list that OpenAI published, which is longer than what CLIP was trained with."""
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")[1 : NUM_MERGES + 1]
    pairs = [tuple(line.split()) for line in lines]
    return [(first, second) for first, second in pairs]


def vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """The number of each token, in CLIP's order."""
    letters = byte_letters()
    tokens = [*letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges), START, END]
    return {token: number for number, token in enumerate(tokens)}
