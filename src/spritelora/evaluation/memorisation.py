"""Which training sprite an image is nearest to, wherever it was moved and however it was turned over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spritelora.errors import DatasetError
from spritelora.evaluation.colours import image_oklab
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.placement import draw_on_canvas, in_middle

Spectrum = NDArray[np.complex64]
"""The half-plane spectrum of a picture's OKLab channels, (3, side, side // 2 + 1)."""

FLIPS = ("", "left-right", "upside down", "left-right and upside down")

MEMORISED_BELOW = 0.25
"""The distance below which an image passes for a copy. docs/metrics.md has the planted cases that set it."""

CANDIDATES_AT_ONCE = 16
LEAST_CANDIDATES = 64


@dataclass(frozen=True)
class Match:
    """The training sprite nearest to an image.

    `sprite`: its number. `distance`: see `SpriteIndex`, 0 to 1. `flip`: one of `FLIPS`, how the sprite is turned over
    in the image. `shift`: x and y in native pixels, 0 to side - 1, by which it is moved then, round the edges.
    """

    sprite: int
    distance: float
    flip: str
    shift: tuple[int, int]

    @property
    def memorised(self) -> bool:
        """Whether the image passes for a copy of the sprite."""
        return self.distance < MEMORISED_BELOW


class SpriteIndex:
    """Training sprites at their native size, ready to be searched.

    The distance of two pictures is |a - b| / sqrt(|a|^2 + |b|^2) over all pixels in OKLab, each less its own median
    colour, at the best of four flips and of all shifts round the edges: 0 the same picture, 1 nothing in common.
    Magnitudes of spectra bound it from below, for a shift turns phases only; sprites whose bound is above
    `MEMORISED_BELOW` are looked at only among the first `LEAST_CANDIDATES`. So no copy is missed; the nearest sprite
    of an image that is none is the nearest of those.

    `sprites`: RGB, (h, w, 3) each, smaller ones are laid on the matte. Raises DatasetError where there are none.
    """

    def __init__(self, sprites: Sequence[Pixels], matte: tuple[int, int, int] = (255, 255, 255)) -> None:
        if not sprites:
            raise DatasetError("memorisation: no training sprites to compare with; give at least one")
        self.side_px = max(max(sprite.shape[:2]) for sprite in sprites)
        self.matte = matte
        self._spectra = np.stack([_spectrum(self._on_canvas(sprite)) for sprite in sprites])
        self._magnitudes = np.stack([_magnitudes(spectrum) for spectrum in self._spectra])
        self._energies = np.einsum("nk,nk->n", self._magnitudes, self._magnitudes)

    def nearest(self, native: Pixels) -> Match:
        """The nearest training sprite of a snapped image (h, w, 3), which must not be larger than the largest.

        Raises DatasetError for a larger image.
        """
        if max(native.shape[:2]) > self.side_px:
            raise DatasetError(
                f"memorisation: an image of {native.shape[1]}x{native.shape[0]} native pixels, but the training "
                f"sprites have at most {self.side_px}x{self.side_px}; give the sprites as they were padded for training"
            )
        spectrum = _spectrum(self._on_canvas(native))
        magnitudes = _magnitudes(spectrum)
        energies = np.maximum(self._energies + magnitudes @ magnitudes, 1e-12)
        bounds = 1 - 2 * (self._magnitudes @ magnitudes) / energies
        order = np.argsort(bounds, kind="stable")
        count = max(LEAST_CANDIDATES, int((bounds < MEMORISED_BELOW**2).sum()))
        found = (math.inf, 0, 0)
        for start in range(0, min(count, len(order)), CANDIDATES_AT_ONCE):
            block = order[start : start + CANDIDATES_AT_ONCE]
            if bounds[block[0]] >= found[0]:
                break
            likeness, place = self._best_places(spectrum, block)
            squares = 1 - 2 * likeness / energies[block]
            best = int(squares.argmin())
            found = min(found, (float(squares[best]), int(block[best]), int(place[best])))
        return self._match(*found)

    def _best_places(self, spectrum: Spectrum, block: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
        """The highest correlation of each sprite of a block over flips and shifts, and where it is, as a flat index."""
        flipped = _flips(self._spectra[block])
        product = np.einsum("fncyx,cyx->nfyx", np.conj(flipped), spectrum)
        likeness = np.fft.irfft2(product, s=(self.side_px, self.side_px)).reshape(len(block), -1)
        place = likeness.argmax(1)
        return likeness[np.arange(len(block)), place], place

    def _match(self, square: float, sprite: int, place: int) -> Match:
        flip, y, x = np.unravel_index(place, (len(FLIPS), self.side_px, self.side_px))
        # fp32 spectra leave 1e-6 of a square, 1e-3 of a distance, between equal pictures.
        distance = math.sqrt(square) if square > 1e-6 else 0.0
        return Match(sprite, min(1.0, distance), FLIPS[flip], (int(x), int(y)))

    def _on_canvas(self, sprite: Pixels) -> Pixels:
        return draw_on_canvas(sprite, in_middle((sprite.shape[1], sprite.shape[0]), 1, self.side_px), self.matte)


def _spectrum(picture: Pixels) -> Spectrum:
    """Of a picture (side, side, 3) less its median colour, which neither a shift nor a flip nor noise moves."""
    centre = np.median(picture.reshape(-1, 3), axis=0).round().astype(np.uint8)
    return np.fft.rfft2((image_oklab(picture) - image_oklab(centre)).transpose(2, 0, 1)).astype(np.complex64)


def _mirror_rows(spectra: Spectrum) -> Spectrum:
    """Row u takes row -u: the spectrum of the picture upside down, about its first row."""
    return np.roll(spectra[..., ::-1, :], 1, axis=-2)


def _flips(spectra: Spectrum) -> Spectrum:
    """The spectra of pictures (..., side, side // 2 + 1) turned over as in `FLIPS`, about row and column 0."""
    upside_down = _mirror_rows(spectra)
    return np.stack([spectra, np.conj(upside_down), upside_down, np.conj(spectra)])


def _magnitudes(spectrum: Spectrum) -> NDArray[np.float32]:
    """Magnitudes that no shift and no flip changes, scaled so that dot products are the picture's own sums of squares.

    A flip exchanges rows u and -u, so each pair is put in order.
    """
    side = spectrum.shape[-2]
    weights = np.full(spectrum.shape[-1], 2.0)  # the half-plane stands for both, but for its first column
    weights[0] = 1
    if side % 2 == 0:
        weights[-1] = 1
    size = np.abs(spectrum) * np.sqrt(weights / 2) / side
    other = _mirror_rows(size)
    return np.concatenate([np.minimum(size, other), np.maximum(size, other)], axis=None).astype(np.float32)
