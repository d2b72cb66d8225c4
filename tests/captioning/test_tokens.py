"""Tokens are counted as the text encoder takes them, and what is cut is shown as it was written."""

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from spritelora.captioning.tokens import TokenCounter, find_tokenizer
from spritelora.embedded.location import embedded_base
from spritelora.errors import WeightsError


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(embedded_base(), "the embedded base's tokenizer")


@pytest.mark.parametrize("caption", ["", "pixel art, red potion", "Quicksilver Dragon, armour! " * 12])
def test_the_count_is_that_of_the_encoders_input(counter: TokenCounter, caption: str) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(str(embedded_base() / "tokenizer"), local_files_only=True)
    kept = tokenizer(caption, truncation=True, max_length=77, verbose=False).input_ids
    assert (counter.count(caption) <= 77) == (counter.cut(caption) == "")
    assert min(counter.count(caption), 77) == len(kept)


def test_kept_and_cut_make_up_the_caption(counter: TokenCounter) -> None:
    caption = "pixel art, " + "Red Potion, " * 40 + "END"
    end = counter.cut(caption)
    assert caption.endswith(end)
    assert end.endswith("END")
    assert counter.count(caption[: -len(end)]) == 77


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"tokenizer: no tokenizer of SDXL .*model\.path names a diffusers folder"):
        TokenCounter(tmp_path, "nothing")
    with pytest.raises(
        WeightsError, match=r"model\.path=some/model: neither a local folder nor to be had from the hub"
    ):
        find_tokenizer("some/model")
