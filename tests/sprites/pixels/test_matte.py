"""The matte keeps its distance, however many colours a set has."""

import numpy as np

from spritelora.sprites.pixels.matte import MANY_COLOURS, choose_matte


def test_among_many_colours_the_matte_is_as_far_as_can_be() -> None:
    rng = np.random.default_rng(0)
    channels = rng.integers(0, 256, (20_000, 3))
    channels = channels[~((channels > (60, 90, 120)) & (channels < (120, 150, 180))).all(axis=1)]
    neutral = np.repeat(np.arange(256), 3).reshape(-1, 3)
    crowd = np.unique(np.concatenate([channels, neutral]) @ [1 << 16, 1 << 8, 1]).astype(np.uint32)
    assert len(crowd) > MANY_COLOURS
    matte = np.array(choose_matte(crowd))
    present = np.stack([(crowd >> s) & 255 for s in (16, 8, 0)], axis=-1).astype(int)
    assert np.abs(present - matte).max(axis=1).min() >= 20
    assert (np.array((60, 90, 120)) < matte).all()
    assert (matte < np.array((120, 150, 180))).all()
