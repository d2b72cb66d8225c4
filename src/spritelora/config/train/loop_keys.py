"""The training loop: optimizer, steps, validation."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from spritelora.config.fields import Affects, OnResume, key

OPTIMIZERS = (
    "torch.optim.",
    "bitsandbytes.optim.",
    "transformers.optimization.Adafactor",
    "prodigyopt.",
    "schedulefree.",
)


@dataclass
class OptimConfig:
    """The optimizer and its rate."""

    _target_: str = key(MISSING, "optimizer class", targets=OPTIMIZERS)
    lr: float = key(MISSING, "learning rate", above=0, need=9)
    weight_decay: float = key(0.01, "weight decay", at_least=0)
    betas: list[float] | None = key(None, "running-average factors; unset: the optimizer's own")
    lora_plus: float = key(1.0, "rate of LoRA's up matrices (B) over that of the rest; LoRA+: 16", above=0)
    args: dict[str, Any] = key({}, "further arguments of the optimizer class")

    @property
    def is_schedule_free(self) -> bool:
        """Whether it keeps an average of the weights in place of a falling rate."""
        return self._target_.startswith("schedulefree.")


@dataclass
class TrainerConfig:
    """The training loop; steps are optimizer steps."""

    max_steps: int = key(
        MISSING,
        "steps of the whole run (steps=auto counts them from the set); 0: as many as show the set `passes` times",
        at_least=0,
        on_resume=OnResume.run,
        need=7,
    )
    passes: int = key(
        75, "with steps=auto: how often each sprite, or subject, is shown", at_least=1, on_resume=OnResume.run
    )
    fewest_steps: int = key(200, "with steps=auto: the least number of steps", at_least=1, on_resume=OnResume.run)
    most_steps: int = key(10000, "with steps=auto: the largest number of steps", at_least=1, on_resume=OnResume.run)
    batch_size: int = key(
        MISSING,
        "sprites shown at once, in one forward pass of one process",
        at_least=1,
        affects=Affects.predictions,
        need=8,
    )
    accumulate: int = key(1, "forward passes added up for one optimizer step", at_least=1, at_most=65_536, need=28)
    clip_norm: float = key(1.0, "largest gradient norm; 0: no clipping", at_least=0)
    save_every: int = key(
        MISSING, "steps between checkpoints; 0: only the final one", at_least=0, on_resume=OnResume.sweep, need=13
    )
    sample_every: int = key(
        MISSING, "steps between sample images; 0: none", at_least=0, on_resume=OnResume.run, need=11
    )
    validate_every: int = key(
        MISSING, "steps between validation losses; 0: only first and last", at_least=0, on_resume=OnResume.run, need=12
    )
    log_every: int = key(MISSING, "steps between logged losses", at_least=1, on_resume=OnResume.sweep)
    keep_last: int = key(
        0,
        "checkpoints of save_every that are kept, the newest ones; 0: all",
        at_least=0,
        on_resume=OnResume.run,
        need=26,
    )
    keep_best: bool = key(
        False, "keep the checkpoint of the lowest validation loss too, as checkpoint_best", on_resume=OnResume.run
    )
    patience: int = key(
        0,
        "validations without improvement after which the run ends; checkpoint_final is then the best one; 0: never",
        at_least=0,
        on_resume=OnResume.run,
        need=25,
    )
    min_improvement: float = key(
        0.0, "how much lower a validation loss must be to count as improved", at_least=0, on_resume=OnResume.run
    )
    max_time: str | None = key(
        None,
        "time after which a run saves and stops, to be resumed, as 2h30m or 90s",
        is_duration=True,
        on_resume=OnResume.run,
        need=27,
    )
    ema: float = key(
        0.0,
        "decay of the adapter's running average, which is then the result; 0: none",
        at_least=0,
        at_most=0.99999,
    )
    max_norm: float = key(0.0, "the most that the norm of a layer's change may be; 0: no limit", at_least=0)


@dataclass
class ValidationConfig:
    """The fixed-noise validation loss on held-out sprites."""

    bands: int = key(4, "timestep bands, equal parts of the noise schedule", at_least=1, at_most=20)
    draws: int = key(2, "noise draws for each sprite and band", at_least=1)
    limit: int = key(256, "the most sprites it is measured on, evenly spread over those held out", at_least=1)
