"""The hold-out keeps together what belongs together, and is the old one where nothing does."""

import numpy as np
import pytest

from spritelora.sprites.split import hold_out, why_none_held_out


@pytest.mark.parametrize("num_items", [10, 24, 60, 119])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_groups_of_one_change_nothing(num_items: int, share: float) -> None:
    items = list(range(num_items))
    for seed in range(5):
        assert hold_out(items, share, seed, [str(i) for i in items]) == hold_out(items, share, seed)


@pytest.mark.parametrize("frames", [2, 3, 4, 8])
@pytest.mark.parametrize("characters", [6, 15, 40])
def test_a_group_is_never_separated(frames: int, characters: int) -> None:
    items = [(character, frame) for frame in range(frames) for character in range(characters)]
    for seed in range(5):
        training, held_out = hold_out(items, 0.1, seed, [str(character) for character, _ in items])
        assert sorted(training + held_out) == sorted(items)
        assert not {c for c, _ in training} & {c for c, _ in held_out}
        assert 0.05 <= len(held_out) / len(items) <= 0.25


def test_groups_of_all_sizes_come_near_to_the_share() -> None:
    rng = np.random.default_rng(0)
    groups = [f"{g}" for g in range(60) for _ in range(int(rng.integers(1, 9)))]
    items = list(range(len(groups)))
    training, held_out = hold_out(items, 0.1, 0, groups)
    assert not {groups[i] for i in training} & {groups[i] for i in held_out}
    assert len(items) // 20 <= len(held_out) <= round(0.1 * len(items))


@pytest.mark.parametrize("groups", [["all"] * 30, ["a"] * 14 + ["b"] * 16, ["most"] * 29 + ["one"]])
def test_groups_that_are_too_large_are_split_by_sprite(groups: list[str]) -> None:
    items = list(range(30))
    assert hold_out(items, 0.1, 0, groups) == hold_out(items, 0.1, 0)


def test_at_most_half_is_held_out() -> None:
    training, held_out = hold_out(list(range(12)), 0.5, 0, ["a"] * 6 + ["b"] * 6)
    assert (len(training), len(held_out)) == (6, 6)


def test_the_reason_why_none_is_held_out_is_the_true_one() -> None:
    for share, number, reason in ((0.0, 12, "data.holdout=0"), (0.1, 9, "that needs 10 sprites, there are 9")):
        assert hold_out(list(range(number)), share, 0)[1] == []
        assert why_none_held_out(share, number) == reason
    assert hold_out(list(range(10)), 0.1, 0)[1] != []
