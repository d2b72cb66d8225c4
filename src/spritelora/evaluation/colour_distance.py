"""The distance of the colours of a set of images to those of the training sprites, by the share of each."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spritelora.evaluation.registry import COLOUR_DISTANCE
from spritelora.evaluation.silhouette import PLAIN, find_background
from spritelora.evaluation.statistics import (
    LEAST_PAIRS,
    NUM_RESAMPLES,
    Comparison,
    Outcome,
    bca_interval,
    outcome_of,
)
from spritelora.sprites.pixels.image import Pixels
from spritelora.sprites.pixels.palette import to_oklab

Profile = NDArray[np.float32]
Profiles = NDArray[np.float32]

NUM_DIRECTIONS = 32
BIN = 0.02
EDGES = np.arange(-1.1, 1.1 + BIN / 2, BIN)
"""Where shares are counted along each direction: no colour is further than 1.08 from black in OKLab."""

AT_ONCE = 500
TRAINING = "training"


def _directions() -> NDArray[np.float64]:
    """Directions in OKLab, evenly over half a sphere (Fibonacci's lattice): (NUM_DIRECTIONS, 3)."""
    number = np.arange(NUM_DIRECTIONS)
    height = (number + 0.5) / NUM_DIRECTIONS
    angle = math.pi * (3 - math.sqrt(5)) * number
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)


DIRECTIONS = _directions()


def colour_profile(native: Pixels) -> Profile:
    """The distribution of a snapped image's colours (h, w, 3), its plain background left out.

    Along each direction in OKLab, the share of pixels up to each of `EDGES`: (NUM_DIRECTIONS, len(EDGES)); NaN where
    nothing is left.
    """
    pixels, background = native.reshape(-1, 3), find_background(native)
    if background is not None:
        pixels = pixels[np.linalg.norm(to_oklab(pixels) - to_oklab(background), axis=1) > PLAIN]
    if not len(pixels):
        return np.full((NUM_DIRECTIONS, len(EDGES)), np.nan, np.float32)
    along = np.sort(to_oklab(pixels) @ DIRECTIONS.T, axis=0)
    shares = np.stack([np.searchsorted(a, EDGES, side="right") for a in along.T]) / len(pixels)
    return shares.astype(np.float32)


def profiles_of(natives: Sequence[Pixels]) -> Profiles:
    """The profile of each image: (N, NUM_DIRECTIONS, len(EDGES))."""
    return np.stack([colour_profile(native) for native in natives])


def pooled(profiles: Profiles) -> Profile:
    """The distribution of a set, each image counting the same; NaN where no image has any."""
    known = profiles[np.isfinite(profiles[:, 0, 0])]
    return known.mean(axis=0) if len(known) else np.full(profiles.shape[1:], np.nan, np.float32)


def distance(first: Profiles, second: Profile) -> NDArray[np.float64]:
    """The sliced Wasserstein-1 distance of distributions (..., directions, edges) to another, in OKLab.

    Twice the mean over directions, so that moving every colour by d gives d. Source: Rabin et al. 2011, Wasserstein
    Barycenter and its Application to Texture Mixing.
    """
    return 2 * BIN * np.abs(first - second).sum(axis=-1).mean(axis=-1, dtype=np.float64)


@dataclass(frozen=True)
class ColourTarget:
    """The training sprites' colours. `profiles`: of each sprite, (M, directions, edges)."""

    profiles: Profiles

    def distance_of(self, profiles: Profiles) -> float:
        """The distance of a set of images to the training sprites; NaN where none has colours."""
        return float(distance(pooled(profiles), pooled(self.profiles)))

    def floor(self, count: int, seed: int = 0) -> float:
        """The distance that so many of the training sprites themselves have on average: what chance leaves."""
        rng = np.random.default_rng(seed)
        known = self.profiles[np.isfinite(self.profiles[:, 0, 0])]
        drawn = [known[rng.integers(0, len(known), count)].mean(axis=0) for _ in range(100)]
        return float(distance(np.stack(drawn), known.mean(axis=0)).mean())


def pack_colours(by_strength: Mapping[float, Profiles], target: ColourTarget) -> bytes:
    """The profiles of each strength and the training set's pooled one, as an .npz file without pickle."""
    stream = io.BytesIO()
    arrays = {f"{strength:g}": profiles for strength, profiles in by_strength.items()}
    np.savez_compressed(stream, allow_pickle=False, **{TRAINING: pooled(target.profiles)[None]}, **arrays)
    return stream.getvalue()


def read_colours(file: Path, strength: float) -> tuple[Profiles, ColourTarget]:
    """The profiles of one strength, and the training set's. Raises ValueError, KeyError or OSError for another file."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return stored[f"{strength:g}"], ColourTarget(stored[TRAINING])
    except (BadZipFile, EOFError) as error:
        raise ValueError(f"{file}: {error}") from error


def compare_colours(first: Profiles, second: Profiles, target: ColourTarget, seed: int = 0) -> Comparison:
    """Compare two sets of images, paired, by the distance of each set to the training sprites.

    The interval is the BCa bootstrap's over resampled pairs, as `compare_paired` takes it for means. Pairs of which one
    has no colours are left out.
    """
    both = np.isfinite(first[:, 0, 0]) & np.isfinite(second[:, 0, 0])
    first, second, goal = first[both], second[both], pooled(target.profiles)
    count = len(first)
    if not count:
        nan = math.nan
        return Comparison(COLOUR_DISTANCE, nan, nan, nan, nan, nan, 0, Outcome.TOO_FEW)
    a, b = (float(distance(part.mean(axis=0), goal)) for part in (first, second))
    low = high = math.nan
    if count >= LEAST_PAIRS:
        resampled = _resample(first, second, goal, np.random.default_rng(seed))
        left_out = _differences((1 - np.eye(count)) / (count - 1), first, second, goal)
        low, high = bca_interval(resampled, b - a, left_out)
    return Comparison(COLOUR_DISTANCE, a, b, b - a, low, high, count, outcome_of(COLOUR_DISTANCE, b - a, low, high))


def _resample(first: Profiles, second: Profiles, goal: Profile, rng: np.random.Generator) -> NDArray[np.float64]:
    """The difference of the sets' distances for each resample of pairs, (NUM_RESAMPLES,)."""
    count = len(first)
    parts: list[NDArray[np.float64]] = []
    for _ in range(0, NUM_RESAMPLES, AT_ONCE):
        chosen = rng.integers(0, count, (AT_ONCE, count))
        weights = np.stack([np.bincount(row, minlength=count) for row in chosen]) / count
        parts.append(_differences(weights, first, second, goal))
    return np.concatenate(parts)


def _differences(weights: NDArray[np.float64], first: Profiles, second: Profiles, goal: Profile) -> NDArray[np.float64]:
    """For each row of weights of the pairs (R, N), second's distance less first's: (R,)."""
    shares = weights.astype(np.float32)
    a, b = (
        distance((shares @ part.reshape(len(part), -1)).reshape(-1, *part.shape[1:]), goal) for part in (first, second)
    )
    return b - a
