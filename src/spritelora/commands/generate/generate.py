"""`scripts/generate.py`: prompts in, game-ready sprites out."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spritelora.commands.generate import finish, pack
from spritelora.commands.generate.palette_file import Colours, read_palette
from spritelora.commands.generate.source import Source, find_source
from spritelora.config.commands.generate import LOG, Background, GenerateConfig
from spritelora.config.invocation import Invocation
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.errors import ConfigError, DatasetError
from spritelora.evaluation.cell_colours import snap
from spritelora.evaluation.colours import image_oklab
from spritelora.evaluation.grid import Grid, find_edges, find_grid, find_pitch, step_strengths
from spritelora.evaluation.native_sprites import wanted_grid
from spritelora.file_names import safe_name, tell_apart
from spritelora.files import write_whole
from spritelora.limits import PALETTE_COLOURS
from spritelora.process import quick_imports
from spritelora.runs.output import begin, end
from spritelora.sprites.folder.prepared import NativeSprite
from spritelora.sprites.folder.sprite_folder import native_sprite
from spritelora.sprites.names import slug
from spritelora.sprites.pixels.image import Pixels, exact_scale, parse_colour
from spritelora.sprites.pixels.palette import count_colours

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finishing:
    """How drawn images become sprites.

    `grid`: a number of native pixels along a side, or None to find it. `palette`: colours, how many to choose, or
    None. `matte`: None to read it from the border of each image, after its colours are locked.
    """

    grid: Grid | int | None
    palette: Colours | int | None
    matte: finish.Colour | None
    is_transparent: bool
    opens_holes: bool


def generate(config: GenerateConfig, invocation: Invocation) -> None:
    """Check everything that can be checked, draw, finish, and write the output folder."""
    source = find_source(config)
    prompts = read_prompts(config, source)
    side_px = config.model.resolution or source.recorded("model", "resolution", None)
    finishing = plan_finishing(config, source, side_px)
    with quick_imports():  # torch is slow to import
        from spritelora.commands.generate.draw import draw_images

    images = draw_images(config, source, prompts, lambda side: _check_divides(config.native_size, side))
    folder = invocation.run_dir
    begin(folder, LOG, config)
    labels = [(safe_name(slug(prompt) or "sprite"), i) for prompt in prompts for i in range(config.count)]
    names = tell_apart(name if config.count == 1 else f"{name}_{i}" for name, i in labels)
    _write_raw(folder / "raw", names, images, [prompt for prompt in prompts for _ in range(config.count)])
    sprites = finish_images(images, finishing, names)
    _write(folder, config, prompts, names, sprites)
    end(folder, LOG)


def read_prompts(config: GenerateConfig, source: Source) -> list[str]:
    """The prompts as given, as a file's lines, or the run's. Raises ConfigError for none, or one given twice."""
    if config.prompts and config.prompts_file is not None:
        raise ConfigError("prompts= and prompts_file= are both given: leave one out")
    prompts = list(config.prompts)
    if config.prompts_file is not None:
        prompts = read_prompts_file(config.prompts_file)
    prompts = prompts or list(source.recorded("sampler", "prompts", []))
    if not prompts:
        raise ConfigError("nothing to draw: add 'prompts=pixel art, red potion' or prompts_file=FILE")
    if blank := [p for p in prompts if not p.strip()]:
        raise ConfigError(f"prompts: {len(blank)} of {len(prompts)} are empty; write what to draw")
    if twice := [p for p in dict.fromkeys(prompts) if prompts.count(p) > 1]:
        raise ConfigError(f"prompts: '{twice[0]}' is there twice; for several images of each prompt: count=2")
    return prompts


def plan_finishing(config: GenerateConfig, source: Source, side_px: int | None) -> Finishing:
    """Settle grid, palette and matte. Raises ConfigError and DatasetError for what cannot be used."""
    wants_palette = config.palette == "training" or (config.palette is None and config.run is not None)
    is_transparent = config.background is Background.transparent
    matte = _matte(config.matte)
    _check_divides(config.native_size, side_px)
    palette = None if wants_palette else _given_palette(config.palette or "none")
    grid: Grid | int | None = int(config.native_size) if config.native_size.isdigit() else None
    wants_grid = config.native_size == "auto" and config.run is not None
    wants_matte = matte is None and is_transparent and config.run is not None
    if wants_palette or wants_grid or wants_matte:
        found = _training_set(config, source)
        natives = [native_sprite(sprite) for sprite in (*found.training, *found.held_out)]
        if matte is None and any((native.alpha == 0).any() for native in natives):
            matte = found.matte
        if wants_palette:
            palette = training_palette(natives, found.matte, with_matte=not is_transparent)
        if wants_grid and side_px is not None:
            grid = training_grid(found, natives, side_px)
    return Finishing(grid, palette, matte, is_transparent, config.holes)


def _check_divides(native_size: str, side_px: int | None) -> None:
    if native_size in ("auto", "detect"):
        return
    if not re.fullmatch(r"[1-9]\d{0,4}", native_size):
        raise ConfigError(f"native_size={native_size}: give a number of native pixels, detect or auto")
    if side_px is not None and side_px % int(native_size):
        fitting = [n for n in range(1, side_px + 1) if side_px % n == 0]
        near = sorted(sorted(fitting, key=lambda n: abs(n - int(native_size)))[:2])
        raise ConfigError(
            f"native_size={native_size} does not divide the images' side of {side_px} px: native pixels would not be "
            f"whole; {near[0]} and {near[1]} do"
        )


def _matte(text: str) -> finish.Colour | None:
    try:
        return None if text == "auto" else parse_colour(text)
    except ValueError as error:
        raise ConfigError(f"matte: {error}, or auto") from error


def _given_palette(text: str) -> Colours | int | None:
    if text == "none":
        return None
    if not re.fullmatch(r"\d+", text):
        return read_palette(Path(text))
    if not 1 <= int(text) <= PALETTE_COLOURS.most:
        raise ConfigError(f"palette={text}: a number of colours is from 1 to {PALETTE_COLOURS.most}")
    return int(text)


def _training_set(config: GenerateConfig, source: Source) -> TrainingSet:
    folder = config.data.path or source.recorded("data", "path", None)
    if folder is None and source.record is None:
        raise ConfigError("palette=training without run=: name the sprites with data.path=FOLDER")
    side_px = source.recorded("model", "resolution", config.model.resolution or 1024)
    limit = source.recorded("data", "limit", None) if config.data.path is None else None
    sets = source.record.settings.data.sets if source.record and config.data.path is None else {}
    data = DataConfig(path=folder, sets=sets, limit=limit, cache=config.data.cache)
    return read_training_set(data, side_px, trained=source.record.data if source.record else None)


def training_palette(natives: Sequence[NativeSprite], matte: finish.Colour, with_matte: bool) -> Colours:
    """The colours of sprites as training saw them, over their matte; the matte itself only where asked for."""
    over = [native.on_matte(matte).reshape(-1, 3) for native in natives]
    colours, _ = count_colours(np.concatenate([*over, np.array([matte], dtype=np.uint8)]))
    own = colours[(colours != np.array(matte)).any(axis=1)]
    return colours if with_matte or not len(own) else own


def training_grid(found: TrainingSet, natives: Sequence[NativeSprite], side_px: int) -> Grid | None:
    """The grid that all training images share, on images of `side_px`; None, to be found in each, where they differ."""
    shared, trained_px = wanted_grid(found), found.training[0].fit.canvas[0]
    scale = int(np.gcd.reduce([exact_scale(native.pixels) for native in natives]))
    cell_px, rest = divmod(shared.cell_px * scale * side_px, trained_px) if shared else (1, 0)
    if shared is None or rest or side_px % cell_px or cell_px < 2 or any(shared.offset):
        log.info("the training sprites do not share one grid: it is found in each image")
        return None
    return Grid(cell_px)


def finish_images(images: list[Pixels], plan: Finishing, names: list[str]) -> list[Pixels]:
    """Drawn RGB images as native RGBA sprites. Raises DatasetError where no grid is found in an image."""
    natives = [snap(image, _grid_of(image, plan.grid, name)) for image, name in zip(images, names, strict=True)]
    cleared = [_clear(native, plan) for native in natives]
    sprites = [sprite for sprite in cleared if sprite is not None]
    if len(sprites) < len(images):
        num_plainless = len(images) - len(sprites)
        log.warning("%d of %d images have no plain background and stay opaque", num_plainless, len(images))
        sprites = [_opaque(n) if s is None else s for n, s in zip(natives, cleared, strict=True)]
    palette = finish.choose_palette(sprites, plan.palette) if isinstance(plan.palette, int) else plan.palette
    return sprites if palette is None else [finish.lock_palette(sprite, palette) for sprite in sprites]


def _clear(native: Pixels, plan: Finishing) -> Pixels | None:
    """A native RGB image as RGBA without its background; None where it has no plain one.

    An unknown matte is read once the colours are locked: a drawn background of many near colours is one then.
    """
    opaque = _opaque(native)
    if not plan.is_transparent:
        return opaque
    palette = plan.palette if isinstance(plan.palette, np.ndarray) else None
    if plan.matte is not None:
        background = finish.find_background(native, plan.matte, palette, plan.opens_holes)
        return finish.clear_background(native, background)
    locked = native if palette is None else finish.lock_palette(opaque, palette)[..., :3]
    matte = finish.border_colour(locked)
    if matte is None:
        return None
    return finish.clear_background(locked, finish.find_background(locked, matte, palette, opens_holes=False))


def _opaque(native: Pixels) -> Pixels:
    return finish.clear_background(native, np.zeros(native.shape[:2], dtype=np.bool_))


def _grid_of(image: Pixels, grid: Grid | int | None, name: str) -> Grid:
    if isinstance(grid, int):
        return Grid(image.shape[1] // grid)
    return grid or _detect(image, name)


def _detect(image: Pixels, name: str) -> Grid:
    edges = find_edges(*step_strengths(image_oklab(image)))
    grid = find_grid(edges, find_pitch(edges))
    if grid.cell_px < 2:
        raise DatasetError(
            f"raw/{name}.png: no grid of native pixels found in it; draw with a LoRA of pixel art, or give "
            f"native_size=, such as native_size=16"
        )
    return grid


def _write_raw(folder: Path, names: list[str], images: list[Pixels], prompts: list[str]) -> None:
    """The images as drawn, each with its prompt as its caption: a data set, such as one that regularises."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, image, prompt in zip(names, images, prompts, strict=True):
        write_whole(folder / f"{name}.png", pack.encode_rgb(image))
        write_whole(folder / f"{name}.txt", prompt + "\n")


def _write(folder: Path, config: GenerateConfig, prompts: list[str], names: list[str], sprites: list[Pixels]) -> None:
    (folder / "sprites").mkdir(exist_ok=True)
    full = 0
    for name, sprite in zip(names, sprites, strict=True):
        content, is_indexed = pack.encode_png(sprite)
        full += not is_indexed
        write_whole(folder / "sprites" / f"{name}.png", content)
    if full:
        log.warning("%d sprites have over 255 colours and are not indexed; palette=32 makes them so", full)
    starts = range(0, len(sprites), config.count)
    if config.sheet:
        tags = [(slug(p) or "sprite", i, i + config.count - 1) for p, i in zip(prompts, starts, strict=True)]
        sheet, data = pack.pack_sheet(sprites, names, tags, "sheet.png")
        write_whole(folder / "sheet.png", pack.encode_png(sheet)[0])
        write_whole(folder / "sheet.json", json.dumps(data, indent=1) + "\n")
    rows = [(p, sprites[i : i + config.count]) for p, i in zip(prompts, starts, strict=True)]
    write_whole(folder / "contact_sheet.png", pack.encode_rgb(np.asarray(pack.contact_sheet(rows))))
    sizes = sorted({f"{s.shape[1]}x{s.shape[0]}" for s in sprites})
    log.info("%d sprites of %s px in %s", len(sprites), ", ".join(sizes), folder)
