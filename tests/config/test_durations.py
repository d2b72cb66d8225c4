"""Lengths of time as they are typed, and settings of a training that cannot be together."""

import pytest

from spritelora.config.command_line import CommandLine
from spritelora.config.durations import parse_duration
from spritelora.config.overrides import Overrides
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.consistency import PLAIN_KINDS, check_training
from spritelora.errors import ConfigError
from tests.composing import compose


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h30m", 9000), ("45m", 2700), ("90s", 90), ("1d2h3m4s", 93784), (" 1h ", 3600)],
)
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "2.5h", "30m2h", "0s", "soon", "-5m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_time must be a length of time .* such as 2h30m.*, got '"):
        compose(f"trainer.max_time='{text}'")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("trainer.patience=3",),
            r"trainer\.patience=3 goes by validation losses: set trainer\.validate_every above 0",
        ),
        (("trainer.keep_best=true",), r"trainer\.keep_best=true goes by validation losses"),
        (
            ("trainer.max_norm=1", "optim=schedulefree"),
            r"trainer\.max_norm scales weights .* schedule-free .*; leave it out, or take optim=adamw",
        ),
        *(
            (
                ("trainer.max_norm=1", f"adapter.kind={kind.value}"),
                rf"adapter={kind.value} changes layers in another way",
            )
            for kind in AdapterKind
            if kind not in PLAIN_KINDS
        ),
    ],
)
def test_settings_that_cannot_be_together_are_refused_at_the_door(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_training(compose("trainer.validate_every=0", *overrides), CommandLine([], Overrides()))


def test_max_norm_is_of_every_kind_that_is_a_product() -> None:
    for kind in PLAIN_KINDS:
        check_training(compose("trainer.max_norm=1", f"adapter.kind={kind.value}"), CommandLine([], Overrides()))
