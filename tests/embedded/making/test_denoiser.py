"""UNet and text encoders train together, and go on exactly where they were stopped."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from spritelora.embedded.drawn import sample_spec
from spritelora.embedded.making import denoiser
from spritelora.embedded.making.base_loop import StepPlan
from spritelora.embedded.model.tiny import build_tiny

pytestmark = pytest.mark.numeric

PLAN = StepPlan(num_steps=3, learning_rate=1e-3, warmup_steps=1, decay_share=0.5, save_every=1)


def test_a_stopped_training_ends_where_an_unbroken_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    specs = [sample_spec(rng) for _ in range(4)]
    latents = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    def run(name: str) -> dict[str, torch.Tensor]:
        parts = build_tiny(0)
        denoiser.train_denoiser(parts, latents, specs, PLAN, batch_size=2, seed=0, state_path=tmp_path / name)
        return {**parts.unet.state_dict(), **parts.text_encoder_2.state_dict(prefix="text.")}

    unbroken = run("unbroken.safetensors")
    with suppress(InterruptedError), monkeypatch.context() as patched:
        steps: list[int] = []

        def write_caption_until_step_2(*arguments: object) -> str:
            steps.append(0)
            if len(steps) > 4:
                raise InterruptedError
            return write_caption(*arguments)  # pyright: ignore[reportArgumentType]

        write_caption = denoiser.write_caption
        patched.setattr(denoiser, "write_caption", write_caption_until_step_2)
        run("broken.safetensors")
    resumed = run("broken.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())
    start = build_tiny(0)
    assert not torch.equal(unbroken["text.text_projection.weight"], start.text_encoder_2.text_projection.weight)


def test_time_ids_name_the_resolution_in_sdxl_s_order() -> None:
    ids = denoiser.draw_time_ids(200, np.random.default_rng(0))
    assert (ids[:, 2:] == torch.tensor([0.0, 0.0, 128.0, 128.0])).all()
    usual = (ids[:, :2] == 128).all(1).float().mean()
    assert 0.8 < usual < 1.0
