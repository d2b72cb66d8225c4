"""The demo's LoRA takes on the demo's style and keeps the base's subjects."""

from pathlib import Path

import pytest

from tests.conftest import run_train
from tests.demo_figures import demo_figures


@pytest.mark.slow
def test_the_demo_lora_draws_the_subjects_in_the_demo_s_greens(tmp_path: Path) -> None:
    result = run_train("logger=csv", f"output={tmp_path / 'run'}", f"data.cache={tmp_path / 'cache'}")
    assert result.returncode == 0, result.stderr
    lora = tmp_path / "run" / "checkpoint_final" / "lora.safetensors"
    figures = demo_figures(lora, tmp_path / "judge.safetensors", guidance=2.0)
    assert figures["judge_on_demo_set"] >= 0.99
    assert figures["palette_ratio"] <= 0.4
    assert figures["lora_subject"] >= 0.8
