"""Configuration of `scripts/prepare.py`: from a folder of game art to training-ready pairs."""

from dataclasses import dataclass

from spritelora.config.background_keys import cut_background_key, cut_holes_key, half_transparent_key
from spritelora.config.fields import key


@dataclass
class PrepareConfig:
    """The settings for making a data set of a folder of images."""

    input: str = key(help="folder of images, read with its sub-folders and never written to", is_place=True)
    output: str | None = key(
        None, "folder to write; only files that prepare wrote itself are ever replaced in it", is_place=True
    )
    resolution: int = key(1024, "side of the prepared images in pixels", at_least=64, at_most=4096, multiple_of=8)
    factor: str = key(
        "auto",
        "how many times sprites are enlarged: a whole number, auto (the largest that fits all, a multiple of 8 where "
        "there is one) or each (the largest for each sprite)",
        text=True,
    )
    pad: bool = key(
        True,
        "fill up with the matte, the background colour; false: stretch by a whole factor of its own in each axis",
    )
    buckets: bool = key(False, "canvases of several shapes of about the same area, sides multiples of 64")
    tile: bool = key(False, "cut sprites that are too large into tiles; false: they are errors")
    matte: str = key(
        "auto", "colour under transparency, #rrggbb; auto: white, or what parts from the sprites' edges", text=True
    )
    cut_background: str = cut_background_key()
    cut_holes: bool = cut_holes_key()
    half_transparent: str = half_transparent_key()
    scale: str = key(
        "auto", "how far the originals were enlarged: auto (found out), or a whole number; 1 takes them as they are"
    )
    sheet: str = key(
        "auto",
        "cells of sprite sheets: auto (found out; sheets in doubt are left out and named), 32x32 (cuts what it "
        "divides), gaps (sprites with gaps between them), none (each image is one sprite)",
        text=True,
    )
    margin: int = key(0, "pixels around the cells of a sheet", at_least=0)
    spacing: int = key(0, "pixels between the cells of a sheet", at_least=0)
    include: list[str] = key(
        [],
        "images to take that would be left out, by name or pattern: [Big.png], [Bosses/*]; cut: [a.png:16x16m1s1] "
        "(cells, margin, spacing)",
        text=True,
    )
    exclude: list[str] = key([], "images to leave out, by name or pattern: [Big.png], [*_old.png]", text=True)
    all_frames: bool = key(False, "every frame of animated files; false: the first")
    create_captions: bool = key(False, "write captions from file and folder names where an image has none")
    template: str = key(
        "pixel art, {name}, {words}", "caption made from a name; words: action, view and tags", text=True
    )
    trigger: str = key("", "word that calls the style, put first in captions made here", text=True, if_empty="none")
    prefix: str = key("", "text before captions made here", text=True, if_empty="none")
    suffix: str = key("", "text after captions made here", text=True, if_empty="none")
    skip_bad: bool = key(False, "leave out files with errors and prepare the others")
    validate_only: bool = key(False, "write nothing; list all findings, and exit with status 1 if one is an error")
    workers: int | None = key(None, "processes; unset: one for each CPU", at_least=1)
