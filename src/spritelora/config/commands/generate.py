"""Configuration of `scripts/generate.py`."""

from dataclasses import dataclass
from enum import Enum

from spritelora import limits
from spritelora.config.fields import key, section
from spritelora.config.train.hardware_keys import Device
from spritelora.config.train.schema import Prediction

LOG = "generate.log"


class Background(Enum):
    """The choices for the background."""

    transparent = "transparent"
    keep = "keep"


@dataclass
class BaseConfig:
    """The base model, where no run tells it."""

    path: str | None = key(
        None, "single file, diffusers folder or hub id; unset: the run's, else the embedded base", is_place=True
    )
    vae: str | None = key(None, "file or folder of another VAE; unset: the run's, else the model's", is_place=True)
    tokenizer: str | None = key(None, "folder of CLIP's tokenizer; unset: the run's, else looked for", is_place=True)
    resolution: int | None = key(
        None,
        "side of the drawn images in pixels; unset: the run's, the LoRA file's, else the base's own",
        at_least=32,
        at_most=limits.DRAWN_PX.most,
        multiple_of=32,
    )
    prediction: Prediction | None = key(None, "what the UNet predicts; unset: the run's, else as the scheduler says")


@dataclass
class DrawConfig:
    """The settings of drawing."""

    steps: int | None = key(None, "denoising steps; unset: the run's, else 25", at_least=1, at_most=1000)
    guidance: float | None = key(
        None,
        "classifier-free guidance, 1: none; unset: the run's, else 2 on the embedded base and 8 on others",
        at_least=1,
    )
    negative_prompt: str | None = key(
        None, "what guidance moves away from; unset: the run's, else nothing", text=True, if_empty="nothing"
    )


@dataclass
class GenerateSampler(DrawConfig):
    """The settings of drawing, and how many images at once."""

    batch_size: int = key(4, "images in one forward pass", at_least=1)


@dataclass
class PaletteSource:
    """Where training sprites and computed embeddings are."""

    path: str | None = key(None, "folder of the training sprites; unset: the run's", is_place=True)
    cache: str = key("~/.cache/spritelora", "folder of the text embeddings computed once", is_place=True)


@dataclass
class GenerateConfig:
    """Prompts to game-ready sprites."""

    run: str | None = key(None, "run folder or checkpoint whose LoRA draws", is_place=True)
    loras: list[str] = key(
        [],
        "LoRA files that draw together, instead of run; neither: the base alone",
        is_place=True,
        formerly=("lora",),
    )
    lora_strengths: list[float] = key([], "strength of each file of loras; unset: 1 each", formerly=("weights",))
    strength: float | None = key(
        None, "strength of the LoRAs: 0 off, 1 as trained; unset: the best that the run's validation found, else 1"
    )
    prompts: list[str] = key([], "prompts; unset: the run's own", text=True)
    prompts_file: str | None = key(
        None, "text file with a prompt a line, # for comments, instead of prompts", is_place=True
    )
    count: int = key(1, "images for each prompt", at_least=1, at_most=10_000)
    seed: int = key(0, "seed of the start noise; the i-th image of a prompt depends on seed and i alone", at_least=0)
    palette: str | None = key(
        None,
        "training (all colours of the training sprites), a .gpl, .hex, .pal or .png file, a number of colours for all "
        "sprites together, or none; unset: the training sprites' colours where they are known, at most 32 of them",
        is_place=True,
    )
    native_size: str = key(
        "auto",
        "native pixels along a side, or across and down (24x48), detect (find the grid in each image), or auto: the "
        "run's, else detect",
        text=True,
    )
    background: Background = key(Background.transparent, "what becomes of the background: transparent or keep")
    matte: str = key(
        "auto",
        "colour of the background, #rrggbb; auto: what lay under the run's transparent sprites, else the border's",
        text=True,
    )
    holes: bool = key(
        True, "background that a sprite encloses becomes transparent too, where no training sprite has its colour"
    )
    sheet: bool = key(True, "write all sprites as one sheet with Aseprite's JSON")
    output: str | None = key(None, "folder to write; unset: outputs/generate/<date>_<time>", is_place=True)
    device: Device = key(Device.auto, "where to draw")
    model: BaseConfig = section(BaseConfig)
    data: PaletteSource = section(PaletteSource)
    sampler: GenerateSampler = section(GenerateSampler)
