"""A long run holds no more memory at its end than at its beginning."""

import re
from pathlib import Path

import pytest

from spritelora.training.module import LoraModule
from tests.training.tiny_loop import AfterSteps, Settings, train


class Watch(AfterSteps):
    """The memory that this process holds, in MB, at some steps."""

    def __init__(self, steps: tuple[int, ...]) -> None:
        self.steps, self.held_mb = steps, dict[int, float]()

    def after_step(self, module: LoraModule, step: int) -> None:
        if step in self.steps:
            status = Path("/proc/self/status").read_text()
            self.held_mb[step] = int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1000


@pytest.mark.slow
def test_five_thousand_steps_hold_what_five_hundred_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch((500, 2000, 3500, 5000))
    train(tmp_path, Settings(5000, ema=0.999, max_norm=1.0, save_every=250, keep_last=2), watch)
    with capsys.disabled():
        print(f"\n{watch.held_mb}")  # noqa: T201
    assert watch.held_mb[5000] < 1.03 * watch.held_mb[500]
    assert {p.name for p in tmp_path.glob("checkpoint_*")} == {"checkpoint_step_4750", "checkpoint_step_5000"}
