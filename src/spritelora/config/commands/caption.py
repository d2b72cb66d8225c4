"""Configuration of `scripts/caption.py`: writing captions, checking them, editing them."""

from dataclasses import dataclass
from enum import Enum

from spritelora.config.fields import key, section
from spritelora.config.train.hardware_keys import Device


class CaptionMode(Enum):
    """The ways of working on captions."""

    caption = "caption"
    validate = "validate"
    edit = "edit"
    replace = "replace"


@dataclass
class TokenizerModelConfig:
    """The model whose tokenizer counts."""

    path: str | None = key(
        None, "SDXL model whose tokenizer counts, folder or hub id; unset: the embedded base", is_place=True
    )


@dataclass
class CaptionData:
    """The sprites whose captions are worked on."""

    path: str = key(
        help="folder of sprites; captions are .txt files beside them", is_place=True, formerly=("/dataset",)
    )


@dataclass
class CaptionConfig:
    """The settings for work on captions."""

    data: CaptionData = section(CaptionData)
    mode: CaptionMode = key(
        CaptionMode.validate,
        "caption: write those that are missing; validate: check all; edit: change them by hand; replace: change a text "
        "or phrases in all of them",
    )
    prefix: str = key(
        "", "put before each new caption; one that ends with a space gets no comma", text=True, if_empty="nothing"
    )
    suffix: str = key("", "put after each new caption", text=True, if_empty="nothing")
    trigger: str = key(
        "", "word that comes first in each new caption and counts as a style", text=True, if_empty="none"
    )
    captioner: str = key(
        "Salesforce/blip2-opt-2.7b", "image-to-text model of transformers, folder or hub id", is_place=True
    )
    prompt: str = key("", "what the captioner is asked, or how its sentence begins", text=True, if_empty="its own way")
    overwrite: bool = key(False, "write captions that are there anew, those written by hand too")
    batch_size: int = key(8, "sprites the captioner sees at once", at_least=1)
    max_tokens: int = key(40, "longest answer of the captioner, in its tokens", at_least=1)
    num_beams: int = key(3, "answers the captioner weighs against each other", at_least=1)
    device: Device = key(Device.auto, "where the captioner runs")
    model: TokenizerModelConfig = section(TokenizerModelConfig)
    flips: bool = key(False, "training will mirror sprites, so captions with left and right are named")
    matte: bool = key(True, "training lays sprites on a plain colour, so captions that say transparent are named")
    style_words: list[str] = key([], "phrases that count as a style, besides pixel art and its like", text=True)
    variants: list[str] = key([], "terms of one meaning, with / between: goblin/orc", text=True)
    find: str | None = key(None, "text that mode=replace finds, letter for letter", text=True)
    put: str | None = key(None, "text in place of what is found", text=True, if_empty="nothing", may_be_blank=True)
    pattern: bool = key(False, r"find is a regular expression of Python, and \1 in put is its first group")
    remove: str | None = key(None, "phrases that mode=replace takes out, with commas between", text=True)
    add: str | None = key(None, "phrases that mode=replace adds where a caption lacks them", text=True)
    add_first: bool = key(False, "add goes before the caption; false: after it")
    dry_run: bool = key(False, "mode=replace shows what it would change, and writes nothing")
    port: int = key(8765, "port of the page that edits; 0: any that is free", at_least=0, at_most=65535)
    browser: bool = key(False, "open the page that edits in the browser")
    editor: bool = key(False, "edit in $EDITOR, all captions as one text, instead of a page")
