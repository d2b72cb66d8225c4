"""The verdict over a comparison: the best row only where its interval shows it."""

import pytest

from spritelora.evaluation.comparison import Row
from spritelora.evaluation.validation import DrawnSet
from spritelora.reports.comparison_page import verdict_on
from tests.evaluation.test_validation import NUM, TARGET, UNSEEN, drawn, shifted

pytestmark = pytest.mark.numeric


def row_of(name: str, found: DrawnSet, drawn_as: str = "same") -> Row:
    """A row with what a validation found."""
    cells = {"name": name, "validation_loss": 0.1, "colour_distance": TARGET.distance_of(found.profiles)}
    return Row(cells, {}, found.values, drawn_as, (found.profiles, TARGET))


def test_the_verdict_names_the_best_only_where_the_interval_does() -> None:
    good, bad = drawn(UNSEEN[: 2 * NUM]), drawn(shifted(UNSEEN[: 2 * NUM], 60))
    best = verdict_on([row_of("far", bad), row_of("near", good)], "validation_loss")
    assert best
    assert (best.tone, best.sentence.partition(".")[0]) == ("good", "Best: near")
    tied = verdict_on([row_of("near", good), row_of("equal", good), row_of("far", bad)], "validation_loss")
    assert tied
    assert (tied.tone, tied.sentence) == ("mixed", "No difference shown between near and equal.")


def test_without_pictures_of_the_same_prompts_the_verdict_is_one_number() -> None:
    rows = [row_of("a", drawn(UNSEEN[:NUM]), "one"), row_of("b", drawn(UNSEEN[:NUM]), "other")]
    told = verdict_on(rows, "validation_loss")
    assert told
    assert (told.tone, told.sentence) == ("unknown", "First by validation loss: a.")
    assert "measure=true" in told.reason
    assert verdict_on(rows[:1], "validation_loss") is None
