"""`scripts/generate.py`: prompts in, game-ready sprites out."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np

from spritelora.commands.generate import pack
from spritelora.commands.generate.finishing import check_divides, finish_images, plan_finishing, with_colours_of_loras
from spritelora.config.commands.generate import LOG, GenerateConfig
from spritelora.config.invocation import Invocation
from spritelora.config.overrides import Overrides
from spritelora.drawing.kept_images import KeptImages
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.drawing.source import Source, find_source
from spritelora.errors import ConfigError
from spritelora.file_names import safe_name, tell_apart
from spritelora.files import write_whole
from spritelora.process import quick_imports
from spritelora.program import typed
from spritelora.reports.labelled_sheet import labelled_sheet
from spritelora.runs.layout import DRAWN
from spritelora.runs.output import begin, end
from spritelora.shown import counted
from spritelora.sprites.names import LONGEST_OF_PROMPT, slug
from spritelora.sprites.pixels.image import Pixels, encode_rgb

log = logging.getLogger(__name__)


def generate(config: GenerateConfig, invocation: Invocation) -> None:
    """Check everything that can be checked, draw, finish, and write the output folder."""
    if config.run is not None and config.loras:
        raise ConfigError("run= and loras= are both given: leave one out")
    source = find_source(config.run, config.loras)
    prompts = read_prompts(config, source)
    side_px = config.model.resolution or (source.settings.model.side_px if source.settings else None)
    finishing = plan_finishing(config, source, side_px)
    with quick_imports():  # torch is slow to import
        from spritelora.commands.generate.draw import draw_images

    folder = invocation.run_dir
    command = typed("generate", *Overrides(invocation.words).without("output"), f"output={folder}")

    def keep(identity: dict[str, object]) -> KeptImages:
        return KeptImages(folder, identity, lambda: begin(folder, LOG, config), command)

    images, metadata = draw_images(config, source, prompts, lambda side: check_divides(config.native_size, side), keep)
    labels = [
        (safe_name(slug(prompt, LONGEST_OF_PROMPT) or "sprite"), i) for prompt in prompts for i in range(config.count)
    ]
    names = tell_apart(name if config.count == 1 else f"{name}_{i}" for name, i in labels)
    _write_raw(folder / "raw", names, images, [prompt for prompt in prompts for _ in range(config.count)])
    sprites = finish_images(images, with_colours_of_loras(finishing, config, metadata), names)
    _write(folder, config, prompts, names, sprites)
    shutil.rmtree(folder / DRAWN)
    end(folder, LOG)


def read_prompts(config: GenerateConfig, source: Source) -> list[str]:
    """The prompts as given, as a file's lines, or the run's. Raises ConfigError for none, or one given twice."""
    if config.prompts and config.prompts_file is not None:
        raise ConfigError("prompts= and prompts_file= are both given: leave one out")
    prompts = list(config.prompts)
    if config.prompts_file is not None:
        prompts = read_prompts_file(config.prompts_file)
    if not prompts and source.settings:
        prompts = list(source.settings.sampler.prompts)
    if not prompts:
        raise ConfigError("nothing to draw: add 'prompts=pixel art, red potion' or prompts_file=FILE")
    if blank := [p for p in prompts if not p.strip()]:
        raise ConfigError(f"prompts: {len(blank)} of {len(prompts)} are empty; write what to draw")
    if twice := [p for p in dict.fromkeys(prompts) if prompts.count(p) > 1]:
        raise ConfigError(f"prompts: '{twice[0]}' is there twice; for several images of each prompt: count=2")
    return prompts


def _title(prompt: str) -> str:
    return slug(prompt, LONGEST_OF_PROMPT) or "sprite"


def _write_raw(folder: Path, names: list[str], images: list[Pixels], prompts: list[str]) -> None:
    """The images as drawn, each with its prompt as its caption: a data set, such as one that regularises."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image, prompt in zip(names, images, prompts, strict=True):
        write_whole(folder / f"{name}.png", encode_rgb(image))
        write_whole(folder / f"{name}.txt", prompt + "\n")


def _write(folder: Path, config: GenerateConfig, prompts: list[str], names: list[str], sprites: list[Pixels]) -> None:
    (folder / "sprites").mkdir(exist_ok=True)
    for name, sprite in zip(names, sprites, strict=True):
        write_whole(folder / "sprites" / f"{name}.png", pack.encode_png(sprite)[0])
    starts = range(0, len(sprites), config.count)
    if config.sheet:
        tags = [
            (slug(p, LONGEST_OF_PROMPT) or "sprite", i, i + config.count - 1)
            for p, i in zip(prompts, starts, strict=True)
        ]
        sheet, data = pack.pack_sheet(sprites, names, tags, "sheet.png")
        content, is_indexed = pack.encode_png(sheet)
        if not is_indexed:
            log.warning("sheet.png has over 255 colours and is not indexed; palette=32 makes it so")
        write_whole(folder / "sheet.png", content)
        write_whole(folder / "sheet.json", json.dumps(data, indent=1) + "\n")
    shown = [(p, sprites[i : i + config.count]) for p, i in zip(prompts, starts, strict=True)]
    write_whole(folder / "contact_sheet.png", encode_rgb(np.asarray(labelled_sheet(shown))))
    sizes = sorted({f"{s.shape[1]}x{s.shape[0]}" for s in sprites})
    log.info("%s of %s px in %s", counted(len(sprites), "sprite"), ", ".join(sizes), folder)
