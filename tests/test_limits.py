"""Every limit has a message that says what was found and what the limit is, and nothing else holds limits."""

import re

import pytest

from spritelora import limits
from spritelora.limits import Limit
from tests.conftest import ROOT

ALL = {name: value for name, value in vars(limits).items() if isinstance(value, Limit)}


@pytest.mark.parametrize("name", ALL)
def test_a_limit_lets_pass_what_it_says_and_names_what_is_over(name: str) -> None:
    limit = ALL[name]
    facts = {"shape": "1 x 2", "begin": "abc", "pattern": "a+", "key": "x"}
    limit.check(limit.most, **facts)
    with pytest.raises(ValueError, match=re.escape(f"{limit.most:,}")) as error:
        limit.check(limit.most + 1, **facts)
    assert "{" not in str(error.value)


def test_a_fact_stands_in_place_of_the_number() -> None:
    with pytest.raises(ValueError, match=r"^9x9 over 1$"):
        Limit(1, "{found} over {most}").check(2, found="9x9")


def test_limits_of_sprites_stand_in_the_table() -> None:
    """A module that reads strangers' files and needs another limit adds it there, where costs were measured."""
    own = re.compile(r"^MAX_(PIXELS|SIDE_PX|\w*BYTES|FRAMES|SHEET_FRAMES|TAGS|CELLS) = [\d(]", re.MULTILINE)
    files = {f.name for f in (ROOT / "src" / "spritelora" / "sprites").rglob("*.py") if own.search(f.read_text())}
    assert not files
