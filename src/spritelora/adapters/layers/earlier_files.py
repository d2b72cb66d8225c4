"""The adapter files that a run begins with: read, checked, and told of in its record and its own file."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spritelora.adapters.files.lora_file import PEFT_CONFIG, PEFT_WEIGHTS, LoraFile, read_lora_file
from spritelora.adapters.layers.earlier_adapters import check_start, lay_under, start_from
from spritelora.adapters.layers.inject import check_fits
from spritelora.adapters.layers.layer_plan import AdapterPlan
from spritelora.config.train.adapter_keys import AdapterConfig
from spritelora.errors import WeightsError
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import Unet
from spritelora.shown import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Earlier:
    """`start`: what the adapter goes on from. `over`: what is made a part of the base, at `strength`."""

    start: LoraFile | None
    over: LoraFile | None
    strength: float
    hashes: Mapping[str, str]

    def check(self, unet: Unet, base_name: str, plan: AdapterPlan, targets: list[str]) -> None:
        """Raise WeightsError for files that do not fit the base or, to go on from, the settings."""
        if self.over is not None:
            check_fits(unet, self.over, base_name)
        if self.start is not None:
            check_start(unet, self.start, base_name, plan, targets)

    def lay(self, unet: Unet) -> None:
        """Before there is an adapter: make what is trained over a part of the base."""
        if self.over is not None:
            lay_under(unet, self.over, self.strength)
            log.info(
                "training over %s at strength %g: its %d layers are part of the base here, and not of the new file; "
                "draw with both",
                self.over.path,
                self.strength,
                len(self.over.everything),
            )

    def begin(self, unet: Unet) -> None:
        """Once there is an adapter: give it the numbers of what it goes on from."""
        if self.start is not None:
            start_from(unet, self.start)
            log.info("starting from %s: %s", self.start.path, counted(len(self.start.everything), "layer"))

    @property
    def facts(self) -> dict[str, str]:
        """The entries about them in the metadata of the run's file."""
        told: dict[str, str] = {}
        if self.start is not None:
            told["started_from"] = f"{self.start.title} (sha256 {self.hashes['start']})"
        if self.over is not None:
            told["trained_over"] = f"{self.over.title} at {self.strength:g} (sha256 {self.hashes['over']})"
        return told


def read_earlier(adapter: AdapterConfig) -> Earlier:
    """The files that settings name. Raises WeightsError for one that cannot be read."""
    paths = {name: Path(p) for name in ("start", "over") if (p := getattr(adapter, name)) is not None}
    files = {name: read_lora_file(path) for name, path in paths.items()}
    hashes = {name: file_hash(lora.path) for name, lora in files.items()}
    return Earlier(files.get("start"), files.get("over"), adapter.over_strength, hashes)


def lay_recorded(unet: Unet, record: RunRecord | None, base_name: str) -> None:
    """Make what a run was trained over a part of a UNet that is drawn with, as it was in training.

    Raises WeightsError where the file has gone, is another one, or does not fit the base.
    """
    if record is None or (expected := record.earlier.get("over")) is None:
        return
    adapter = record.settings.adapter
    path = Path(adapter.over or "")
    if not path.exists() or file_hash((over := read_lora_file(path)).path) != expected:
        raise WeightsError(
            f"{path}: {'has changed' if path.exists() else 'no such file'}, and the run was trained over it; put it "
            f"back, or give the LoRA files themselves, loras=[A,B]"
        )
    check_fits(unet, over, base_name)
    lay_under(unet, over, adapter.over_strength)
    log.info("drawing over %s at strength %g, as the run was trained", path, adapter.over_strength)


def file_hash(file: Path) -> str:
    """SHA-256 of an adapter's file, in PEFT's form with its settings."""
    digest = hashlib.sha256(file.read_bytes())
    settings = file.with_name(PEFT_CONFIG)
    if file.name == PEFT_WEIGHTS and settings.is_file():
        digest.update(settings.read_bytes())
    return digest.hexdigest()
