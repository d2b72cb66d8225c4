"""The size of drawn images that hold a wanted number of native pixels."""

import logging
import math

from spritelora.errors import ConfigError
from spritelora.sprites.pixels.placement import Pair, pair_text, parse_pair

log = logging.getLogger(__name__)

STEP_PX = 32
"""Sides of images are multiples of it."""


def wanted_pair(native_size: str) -> Pair | None:
    """Native pixels across and down, where both are given: 24x48."""
    try:
        return parse_pair(native_size)
    except ValueError:
        return None


def native_width(native_size: str) -> int | None:
    """Native pixels across; None where they are to be found."""
    pair = wanted_pair(native_size)
    return pair[0] if pair else int(native_size) if native_size.isdigit() else None


def warn_of_scale(native_size: str, size: Pair, trained: object) -> None:
    """Say so where a native pixel of images of this size is not as large as those that a run was trained on.

    `trained`: image pixels to a sprite pixel, as the run's record has them.
    """
    pair = wanted_pair(native_size)
    if pair is None or not isinstance(trained, int) or size[0] // pair[0] == trained:
        return
    log.warning(
        "native_size=%s is drawn at %s px, %d to a native pixel, and the run's sprites had %d: type "
        "native_size=auto for the run's own",
        native_size,
        pair_text(size),
        size[0] // pair[0],
        trained,
    )


def drawn_size(native_size: str, size: Pair) -> Pair:
    """The size in pixels of images with so many native pixels, by a whole factor, of about the area of `size`.

    Raises ConfigError for one number where the images are oblong.
    """
    pair = wanted_pair(native_size)
    if pair is None:
        if native_size.isdigit() and size[0] != size[1]:
            factor = max(1, size[0] // int(native_size))
            fitting = pair_text((size[0] // factor, size[1] // factor))
            raise ConfigError(
                f"native_size={native_size}: the images are {pair_text(size)} px; give width and height, such as "
                f"native_size={fitting}, or a square with model.resolution="
            )
        return size
    step = math.lcm(*(STEP_PX // math.gcd(STEP_PX, n) for n in pair))
    wanted = math.sqrt(size[0] * size[1] / (pair[0] * pair[1])) / step
    factors = [max(1, math.floor(wanted)) * step, max(1, math.ceil(wanted)) * step]
    factor = min(factors, key=lambda f: abs(math.log(f / step / wanted)))
    return pair[0] * factor, pair[1] * factor
