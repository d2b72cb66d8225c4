"""How images are drawn, and what a run's record and LoRA files say of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spritelora.adapters.files.bases import EMBEDDED, base_of
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.config.train.schema import Prediction
from spritelora.embedded.location import embedded_base
from spritelora.errors import ConfigError, WeightsError
from spritelora.program import typed
from spritelora.runs.layout import FINAL, LORA_FILE, is_run
from spritelora.runs.record import RunRecord
from spritelora.training.callbacks.checkpoints import check_own, newest_checkpoint

USUAL_STEPS, USUAL_GUIDANCE = 25, 8.0


@dataclass(frozen=True)
class Drawing:
    """How images are drawn."""

    model: str
    side_px: int
    prediction: Prediction
    steps: int
    guidance: float
    negative_prompt: str
    seed: int
    zero_snr: bool | None = None
    vae: str | None = None
    tokenizer: str | None = None


def settle_weights(weights: Sequence[float], loras: Sequence[object]) -> list[float]:
    """The weight of each LoRA, 1 where none is given. Raises ConfigError for another number of them."""
    if weights and len(weights) != len(loras):
        raise ConfigError(f"weights has {len(weights)} numbers for {len(loras)} LoRAs; give one for each")
    return list(weights) or [1.0] * len(loras)


def model_of(record: RunRecord | None, loras: Sequence[LoraFile]) -> str:
    """The base of a run, else of a LoRA. Raises ConfigError where the file does not say."""
    if record is not None:
        folder, path = record.model.folder, record.settings.model.path
        return folder if Path(folder).exists() else path or str(embedded_base())
    if base_of(loras[0]) == EMBEDDED.name:
        return str(embedded_base())
    raise ConfigError(f"model.path is not set, and {loras[0].path} does not say which model it was trained on")


def resolution_of(lora: LoraFile) -> int | None:
    """The side in pixels that a LoRA was trained at, None where its file does not say.

    Raises WeightsError for one that SDXL cannot draw.
    """
    found = re.match(r"\(?(\d+)", lora.metadata.get("ss_resolution", ""))
    if not found:
        return None
    side_px = int(found[1])
    if side_px < 32 or side_px % 32:
        raise WeightsError(f"{lora.path}: trained at {side_px} px, it says; set model.resolution")
    return side_px


def find_checkpoint(source: Path) -> Path:
    """A run's final checkpoint, else its newest, or `source` where that is one. Raises ConfigError where none is."""
    if not source.is_dir():
        raise ConfigError(f"run={source}: no such folder; give a run directory or one of its checkpoints")
    if (source / LORA_FILE).is_file() and not is_run(source):
        return source
    if not is_run(source):
        raise ConfigError(f"run={source}: neither a run directory (run.json) nor a checkpoint ({LORA_FILE})")
    checkpoint = source / FINAL if (source / FINAL).is_dir() else newest_checkpoint(source)
    if checkpoint is not None:
        check_own(checkpoint)
    else:
        raise ConfigError(
            f"run={source}: the run has no checkpoint yet, so there is no LoRA to take; go on with it: "
            f"{typed('train', f'resume={source}')}"
        )
    return checkpoint
