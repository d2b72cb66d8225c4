"""The tokenizer of the tiny SDXL: CLIP's byte-level BPE, with merges that make each word of the domain one token."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

TEXT_TOKENS = 77

START, END = "<|startoftext|>", "<|endoftext|>"

END_OF_WORD = "</w>"


def byte_letters() -> list[str]:
    """The printable letters that byte-level BPE writes bytes with, in CLIP's order, which starts with '!'."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]


def apply_merges(letters: list[str], merges: Sequence[tuple[str, str]]) -> list[str]:
    """Join letters as BPE does: always the adjacent pair that was learnt first."""
    rank = {pair: number for number, pair in enumerate(merges)}
    pieces = list(letters)
    while len(pieces) > 1:
        pairs = list(pairwise(pieces))
        best = min(pairs, key=lambda pair: rank.get(pair, len(rank)))
        if best not in rank:
            break
        place = pairs.index(best)
        pieces[place : place + 2] = ["".join(best)]
    return pieces


def merges_for(words: Sequence[str]) -> list[tuple[str, str]]:
    """Merges under which every word is one token: each word's leftover pieces are joined from the left."""
    merges: list[tuple[str, str]] = []
    for word in words:
        pieces = apply_merges([*word[:-1], word[-1] + END_OF_WORD], merges)
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
    return merges


def build_tokenizer(words: Sequence[str], pad_token: str) -> CLIPTokenizer:
    """A tokenizer for any text. `words`: lower case, without digits; `pad_token`: END or '!', as SDXL's two have."""
    letters = byte_letters()
    merges = merges_for(words)
    tokens = [*letters, *(letter + END_OF_WORD for letter in letters), *("".join(pair) for pair in merges), START, END]
    # Any, for the annotation allows neither the pairs nor the mapping that the class takes.
    make_tokenizer: Any = CLIPTokenizer
    return make_tokenizer(
        vocab={token: number for number, token in enumerate(dict.fromkeys(tokens))},
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=pad_token,
        model_max_length=TEXT_TOKENS,
    )


def write_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a tokenizer's folder, with the vocab.json and merges.txt that transformers 4 reads."""
    tokenizer.save_pretrained(folder)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8", newline="\n")
    lines = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf-8", newline="\n")
