"""The canvases that a run may show sprites on: as asked for, or those that its base knows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from spritelora import limits
from spritelora.embedded.location import STEP_PX, embedded_base, known_canvases
from spritelora.errors import ConfigError
from spritelora.sprites.pixels.placement import Canvases, Pair, canvas_shapes, parse_pair, square_canvas

AUTO, SQUARE = "auto", "square"
LARGEST, SMALLEST = 2.0, 0.5
"""Of the area of the square: the canvases that stand beside it."""


def settle_canvases(asked: Sequence[str], side_px: int, model_path: str | None) -> Canvases:
    """The canvases of `data.shapes`. `model_path`: of the base, None for the embedded one.

    `auto` are those that the base's folder lists, else those that SDXL was trained on; the square comes first. No other
    has both sides longer than it, so that square sprites are as they are on the square alone. Raises ConfigError.
    """
    if list(asked) == [SQUARE]:
        return square_canvas(side_px)
    if list(asked) != [AUTO]:
        return Canvases(side_px, _typed_shapes(asked, side_px))
    known = canvases_of_base(model_path)
    if known is None:
        return Canvases(side_px, canvas_shapes(side_px, buckets=True), takes_prepared=True)
    square = (side_px, side_px)
    others = [c for c in known if c[0] != c[1] and min(c) <= side_px and _is_about(c, side_px)]
    return Canvases(side_px, [square, *sorted(set(others))], takes_prepared=True)


def canvases_of_base(model_path: str | None) -> list[Pair] | None:
    """The canvases that a base lists, None where it was trained as SDXL was. `model_path`: None for the package's."""
    return known_canvases(embedded_base() if model_path is None else Path(model_path))


def read_pairs(asked: Sequence[str], key: str) -> list[Pair]:
    """Widths and heights as typed. Raises ConfigError that names `key` for what is none, or no multiple of 32."""
    try:
        pairs = [parse_pair(text) for entry in asked for text in entry.split(",")]
    except ValueError as error:
        raise ConfigError(f"{key}: {error}; type {key}={AUTO}, or a list such as {key}=[832x1216,1024x1024]") from error
    if odd := [pair for pair in pairs if pair[0] % STEP_PX or pair[1] % STEP_PX]:
        fitting = "x".join(str(max(STEP_PX, round(n / STEP_PX) * STEP_PX)) for n in odd[0])
        raise ConfigError(f"{key}: sides must be multiples of {STEP_PX} px, got {odd[0][0]}x{odd[0][1]}; try {fitting}")
    check_sides(pairs, key)
    return list(dict.fromkeys(pairs))


def check_sides(sizes: Iterable[Pair], key: str) -> None:
    """Raise ConfigError that names `key` for an image larger than any that is drawn, as a record may ask for."""
    try:
        limits.DRAWN_PX.check(max(map(max, sizes), default=0))
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error


def read_sizes(asked: Sequence[str]) -> list[Pair] | None:
    """The sizes of `sampler.shapes`, None for auto. Raises ConfigError."""
    return None if list(asked) == [AUTO] else read_pairs(asked, "sampler.shapes")


def _typed_shapes(asked: Sequence[str], side_px: int) -> list[Pair]:
    shapes = read_pairs(asked, "data.shapes")
    if far := [shape for shape in shapes if not _is_about(shape, side_px)]:
        width, height = far[0]
        fitting = round((width * height) ** 0.5 / STEP_PX) * STEP_PX
        raise ConfigError(
            f"data.shapes: {width}x{height} is not about the area of model.resolution={side_px}, by which memory and "
            f"time are planned; type model.resolution={fitting} with it, or canvases of about {side_px}x{side_px}"
        )
    return shapes


def _is_about(canvas: Pair, side_px: int) -> bool:
    return SMALLEST * side_px**2 <= canvas[0] * canvas[1] <= LARGEST * side_px**2
