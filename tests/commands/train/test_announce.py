"""What a run says of itself is true."""

import pytest

from spritelora.commands.train.announce import passes_over_each, predicted_s
from spritelora.training.probe import ENOUGH_S, MOST_PASSES, StepCost, settled_s
from tests.composing import compose


@pytest.mark.parametrize(
    ("seen", "repeats", "words"),
    [(600, [1] * 12, "50"), (600, [10] * 12, "50"), (600, [1, 1, 10], "50 to 500")],
)
def test_passes_count_repeats(seen: int, repeats: list[int], words: str) -> None:
    assert passes_over_each(seen, repeats) == words


@pytest.mark.parametrize(
    ("tries", "warms_up", "settled", "num_made"),
    [
        ([1.15, 1.0, 0.9], False, 0.95, 3),
        ([0.9, 0.5, 0.45, 0.46, 0.45, 0.44], False, 0.45, MOST_PASSES),
        ([60.0], False, 60.0, 1),
        ([60.0, 0.5], True, 0.5, 2),
    ],
)
def test_a_slow_first_pass_does_not_count_where_others_can_be_made(
    tries: list[float], warms_up: bool, settled: float, num_made: int
) -> None:
    left = iter(tries)
    assert settled_s(lambda: next(left), warms_up) == pytest.approx(settled)
    assert len(tries) - len(list(left)) == num_made
    assert sum(tries[: num_made - 1]) < ENOUGH_S or warms_up


@pytest.mark.parametrize(
    ("first_step", "seconds"), [(0, 32 * 2 + (5 * 10 + 3 * 40) / 4), (16, 16 * 2 + (2 * 10 + 1 * 40) / 4)]
)
def test_the_time_told_is_of_training_validation_and_samples(first_step: int, seconds: float) -> None:
    """A pass of 4 sprites takes 1 s, as does their way forward alone: 0.25 s an image.

    Of 5 sprites 10 images are validated at 0, 8, 16, 24 and 32, and 40 calls draw at 0, 16 and 32; what a run that goes
    on has behind it is not made again.
    """
    config = compose(
        *("trainer.max_steps=32", "trainer.batch_size=4", "trainer.accumulate=2", "trainer.validate_every=8"),
        *("trainer.sample_every=16", "validation.bands=2", "validation.draws=1", "sampler.steps=5"),
        *("sampler.guidance=2", "sampler.prompts=[a,b,c,d]"),
    )
    assert predicted_s(config, StepCost(1.0, 1.0, 0.0), 5, first_step) == pytest.approx(seconds)
