"""Slow work on a file is done once while its result fits, and memory stays within its bound."""

from spritelora.sprites.recent import Recent


def test_each_key_is_made_once_and_the_least_used_goes_first() -> None:
    made: list[str] = []
    recent: Recent[str] = Recent(max_bytes=10, num_bytes=len)

    def get(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key)

    for key in ("aaaa", "bbbb", "aaaa", "cc", "bbbb", "aaaa", "dddddd", "aaaa"):
        assert get(key) == key
    assert made == ["aaaa", "bbbb", "cc", "dddddd"]  # at d, c and b had to go, and a is newer
    get("bbbb")
    assert made[-1] == "bbbb"


def test_the_latest_stays_whatever_its_size() -> None:
    made: list[str] = []
    recent: Recent[str] = Recent(max_bytes=1, num_bytes=len)
    for key in ("long", "long", "other", "long"):
        recent.get(key, lambda key=key: made.append(key) or key)
    assert made == ["long", "other", "long"]
