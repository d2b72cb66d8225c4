"""From drawn images to native sprites: grid, palette and background are settled before anything is drawn."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spritelora.adapters.files.metadata import read_set_colours
from spritelora.commands.generate import finish
from spritelora.commands.generate.native_sides import native_width, wanted_pair
from spritelora.commands.generate.palette_file import Colours, read_palette
from spritelora.config.commands.generate import Background, GenerateConfig
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import TrainingSet, read_training_set
from spritelora.drawing.source import Source
from spritelora.errors import ConfigError, DatasetError
from spritelora.evaluation.cell_colours import snap
from spritelora.evaluation.colours import image_oklab
from spritelora.evaluation.grid import Grid, find_edges, find_grid, find_pitch, step_strengths
from spritelora.evaluation.native_sprites import wanted_grid
from spritelora.limits import PALETTE_COLOURS
from spritelora.sprites.folder.prepared import NativeSprite
from spritelora.sprites.folder.sprite_folder import native_sprite
from spritelora.sprites.names import some_of
from spritelora.sprites.pixels.image import Pixels, exact_scale, pack_rgb, parse_colour
from spritelora.sprites.pixels.matte import has_near, is_near
from spritelora.sprites.pixels.palette import count_colours

log = logging.getLogger(__name__)

MOST_NAMED = 10

USUAL_MOST = 32
"""Colours of all sprites together where the user says nothing: as many as published palettes of pixel art have."""


@dataclass(frozen=True)
class Finishing:
    """The settings for making sprites of drawn images.

    `grid`: a number of native pixels along a side, or None to find it. `palette`: the colours that sprites may have,
    None for any. `most`: how many of them all sprites together may have. `matte`: None to read it from the border of
    each image, after its colours are locked. `edge`: the colours that figures have at the matte; None for all of the
    palette, where it is known. `palette_name`: says whose colours they are.
    """

    grid: Grid | int | None
    palette: Colours | None
    matte: finish.Colour | None
    is_transparent: bool
    opens_holes: bool
    most: int | None = None
    edge: Colours | None = None
    palette_name: str = ""


def plan_finishing(config: GenerateConfig, source: Source, side_px: int | None) -> Finishing:
    """Settle grid, palette and matte. Raises ConfigError and DatasetError for what cannot be used."""
    has_set = config.run is not None or config.data.path is not None
    wants_palette = config.palette == "training" or (config.palette is None and has_set)
    is_transparent = config.background is Background.transparent
    matte = _matte(config.matte)
    check_divides(config.native_size, side_px)
    palette, most = (None, None) if wants_palette else _given_palette(config.palette or "none")
    most = USUAL_MOST if config.palette is None else most
    grid: Grid | int | None = native_width(config.native_size)
    wants_grid = config.native_size == "auto" and config.run is not None
    wants_matte = matte is None and is_transparent and config.run is not None
    edge, opens_holes = None, config.holes and is_transparent
    if wants_palette or wants_grid or wants_matte:
        found = _training_set(config, source)
        sprites = [*found.training, *found.held_out]
        natives = [native_sprite(sprite) for sprite in sprites]
        if matte is None and any((native.alpha == 0).any() for native in natives):
            matte = found.matte
        if wants_palette:
            palette = training_palette(natives, found.matte, with_matte=not is_transparent)
            edge = palette if matte is None else palette[~is_near(matte, pack_rgb(palette))]
        if wants_grid and side_px is not None:
            grid = training_grid(found, natives, side_px)
        opens_holes = opens_holes and matte is not None and not has_near(matte, [s.colours for s in sprites])
    elif opens_holes and matte is not None and has_set:
        opens_holes = _is_of_no_sprite(matte, config, source)
    name = "the training set" if wants_palette else config.palette or ""
    return Finishing(grid, palette, matte, is_transparent, opens_holes, most, edge, name)


def with_colours_of_loras(plan: Finishing, config: GenerateConfig, metadata: Sequence[Mapping[str, str]]) -> Finishing:
    """The settings with palette and matte of the set that LoRA files were trained on, where they all tell of the same.

    `metadata`: of each file. What the user or a set on disk has said already stays.
    """
    told = {read_set_colours(of_file) for of_file in metadata}
    found = told.pop() if len(told) == 1 else None
    if found is None or plan.palette is not None or config.palette is not None:
        return plan
    palette = np.array([parse_colour(text) for text in found.palette], dtype=np.uint8)
    matte = plan.matte
    if matte is None and plan.is_transparent and found.matte is not None:
        matte = parse_colour(found.matte)
    if not plan.is_transparent and found.matte is not None:
        palette = np.concatenate([palette, np.array([parse_colour(found.matte)], dtype=np.uint8)])
    is_beside = np.zeros(len(palette), dtype=np.bool_) if matte is None else is_near(matte, pack_rgb(palette))
    opens_holes = plan.opens_holes and matte is not None and not is_beside.any()
    edge = palette[~is_beside]
    return replace(plan, palette=palette, matte=matte, opens_holes=opens_holes, edge=edge, palette_name="the LoRA file")


def _is_of_no_sprite(matte: finish.Colour, config: GenerateConfig, source: Source) -> bool:
    """Whether no sprite of the training set, which nothing else is wanted of, has a colour near the matte."""
    try:
        found = _training_set(config, source)
    except DatasetError as error:
        log.warning("background inside of sprites stays, for their colours are not known: %s", error)
        return False
    return not has_near(matte, [s.colours for s in (*found.training, *found.held_out)])


def check_divides(native_size: str, side_px: int | None) -> None:
    if native_size in ("auto", "detect") or wanted_pair(native_size) is not None:
        return
    if not re.fullmatch(r"[1-9]\d{0,4}", native_size):
        raise ConfigError(
            f"native_size={native_size}: give a number of native pixels, width and height as 24x48, detect or auto"
        )
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


def _given_palette(text: str) -> tuple[Colours | None, int | None]:
    """The colours that a palette names, and how many of them there may be; None for any."""
    if text == "none":
        return None, None
    if not re.fullmatch(r"\d+", text):
        return read_palette(Path(text)), None
    if not 1 <= int(text) <= PALETTE_COLOURS.most:
        raise ConfigError(f"palette={text}: a number of colours is from 1 to {PALETTE_COLOURS.most}")
    return None, int(text)


def _training_set(config: GenerateConfig, source: Source) -> TrainingSet:
    trained, path = source.settings, config.data.path
    if path is None and trained is None:
        raise ConfigError("palette=training without run=: name the sprites with data.path=FOLDER")
    data = DataConfig(path=path, cache=config.data.cache)
    if trained and path is None:
        of_run = {"path": trained.data.path, "sets": trained.data.sets, "shapes": trained.data.shapes}
        data = replace(data, limit=trained.data.limit, **of_run)
    side_px = trained.model.side_px if trained else config.model.resolution or 1024
    record = source.record.data_at(side_px) if source.record else None
    base = trained.model.path if trained else config.model.path
    return read_training_set(data, side_px, trained=record, model_path=base)


def training_palette(natives: Sequence[NativeSprite], matte: finish.Colour, with_matte: bool) -> Colours:
    """The colours of sprites as training saw them, over their matte; the matte itself where one has it or `with_matte`.

    What is clear shows the matte, and is no colour of a sprite.
    """
    seen = [native.on_matte(matte)[native.alpha > 0] for native in natives]
    under = [np.array([matte], dtype=np.uint8)] if with_matte or not any(map(len, seen)) else []
    return count_colours(np.concatenate([*seen, *under]))[0]


def training_grid(found: TrainingSet, natives: Sequence[NativeSprite], side_px: int) -> Grid | None:
    """The grid that all training images share, on images of `side_px`; None, to be found in each, where they differ."""
    shared, trained_px = wanted_grid(found), found.side_px
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
        plainless = some_of([n for n, s in zip(names, cleared, strict=True) if s is None], MOST_NAMED)
        log.warning(
            "no plain background in %d of %d images, which stay opaque: %s; draw more of those prompts with count=, or "
            "another seed=, and keep the best",
            *(len(images) - len(sprites), len(images), plainless),
        )
        sprites = [_opaque(n) if s is None else s for n, s in zip(natives, cleared, strict=True)]
    drawn = [np.dstack([n, s[..., 3]]) for n, s in zip(natives, sprites, strict=True)]
    locked = finish.lock_colours(sprites, plan.palette, plan.most)
    few = [finish.lock_colours([sprite], None, finish.MOST_INDEXED)[0] for sprite in locked]
    _tell_changes(drawn, few, plan)
    return few


def _tell_changes(drawn: Sequence[Pixels], finished: Sequence[Pixels], plan: Finishing) -> None:
    """Say what locking the colours and clearing the background has changed."""
    before, after = len(finish.colours_of(drawn)), len(finish.colours_of(finished))
    num_pixels, num_changed, num_visible = finish.count_changes(drawn, finished)
    source = f", each a colour of {plan.palette_name}" if plan.palette is not None else ""
    log.info(
        "colours: %s drawn -> %d%s; %s of %s pixels changed, %s of them visibly",
        *(f"{before:,}", after, source, f"{num_changed:,}", f"{num_pixels:,}", f"{num_visible:,}"),
    )
    if plan.is_transparent:
        num_clear = sum(bool((sprite[..., 3] == 0).any()) for sprite in finished)
        log.info("background: clear in %d of %d sprites", num_clear, len(finished))


def _clear(native: Pixels, plan: Finishing) -> Pixels | None:
    """A native RGB image as RGBA without its background; None where it has no plain one.

    An unknown matte is read once the colours are locked: a drawn background of many near colours is one then.
    """
    opaque = _opaque(native)
    if not plan.is_transparent:
        return opaque
    palette = plan.palette
    if plan.matte is not None:
        edge = palette if plan.edge is None else plan.edge
        matte = finish.drawn_matte(native, plan.matte, edge)
        background = finish.find_background(native, matte, edge, plan.opens_holes)
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
