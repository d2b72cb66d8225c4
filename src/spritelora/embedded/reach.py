"""The sizes of sprites that the embedded base was made for, and what is said of others."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from spritelora.embedded.location import SDXL_GB, embedded_base, known_canvases
from spritelora.files import is_same
from spritelora.program import typed
from spritelora.shown import counted
from spritelora.sprites.pixels.image import LATENT_PX
from spritelora.sprites.pixels.placement import Fit, Pair, pair_text


def native_canvas(fit: Fit) -> Pair:
    """A canvas in native pixels of its sprite, width before height."""
    width, height = (-(-side // factor) for side, factor in zip(fit.canvas, fit.factors, strict=True))
    return width, height


def reach_note(base: Path, fits: Iterable[Fit]) -> str | None:
    """A warning where sprites need more native pixels than the embedded base was taught; None for any other base."""
    if not is_same(base, embedded_base()):
        return None
    taught = _taught(base)
    beyond = sorted(canvas for canvas in {native_canvas(fit) for fit in fits} if not _is_known(canvas, taught))
    if not beyond:
        return None
    known, wanted = ", ".join(map(pair_text, taught)), pair_text(beyond[-1])
    return (
        f"the embedded base (model=tiny) was made for canvases of {known} sprite pixels at most, and your sprites are "
        f"on {wanted}: they will come out broken, and your art is not at fault; for their size type model=sdxl "
        f"model.path=SDXL (a GPU, and {SDXL_GB} GB to fetch): {typed('doctor', 'model=sdxl', 'data.path=FOLDER')} says "
        f"whether this machine can"
    )


def size_note(sizes: Sequence[Pair]) -> str | None:
    """A line with the number of sprites that the embedded base cannot draw; None where it is 0. `sizes`: native."""
    taught = _taught(embedded_base())
    num_beyond = sum(not _is_known(size, taught) for size in sizes)
    if not num_beyond:
        return None
    known, fit = ", ".join(map(pair_text, taught)), "does" if len(sizes) == 1 else "do"
    return (
        f"{num_beyond:,} of {counted(len(sizes), 'sprite')} {fit} not fit {known} px, the most that the embedded base "
        f"(model=tiny, the default) can draw: these will come out broken, and your art is not at fault; "
        f"model=sdxl draws every size, on a GPU"
    )


def _taught(base: Path) -> list[Pair]:
    """The largest canvases that a base was taught, none of them within another; in native pixels."""
    taught = [(width // LATENT_PX, height // LATENT_PX) for width, height in known_canvases(base) or ()]
    return [canvas for canvas in taught if not _is_known(canvas, [other for other in taught if other != canvas])]


def _is_known(canvas: Pair, taught: Sequence[Pair]) -> bool:
    return any(canvas[0] <= width and canvas[1] <= height for width, height in taught)
