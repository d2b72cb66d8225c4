"""Lightning's loop with nothing of its own beside it: logs, checkpoints, bars and validation are callbacks here."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from spritelora.training.hardware import LIGHTNING_PRECISION, Hardware


def make_trainer(
    hardware: Hardware, max_steps: int, clip_norm: float, callbacks: Sequence[pl.Callback], **options: Any
) -> pl.Trainer:
    """A loop of `max_steps` optimizer steps. `clip_norm`: 0 for none; `options`: of Lightning's Trainer."""
    return pl.Trainer(
        accelerator="gpu" if hardware.device.type == "cuda" else "cpu",
        precision=LIGHTNING_PRECISION[hardware.precision],  # pyright: ignore
        max_steps=max_steps,
        max_epochs=-1,
        gradient_clip_val=clip_norm or None,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )
