"""What a run says of itself is true."""

import pytest

from spritelora.commands.train.announce import passes_over_each


@pytest.mark.parametrize(
    ("seen", "repeats", "words"),
    [(600, [1] * 12, "50"), (600, [10] * 12, "50"), (600, [1, 1, 10], "50 to 500")],
)
def test_passes_count_repeats(seen: int, repeats: list[int], words: str) -> None:
    assert passes_over_each(seen, repeats) == words
