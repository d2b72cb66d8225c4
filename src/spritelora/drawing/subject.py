"""Who draws, and how: a base, LoRAs at their weights, sampler and prompt to move away from, settled once for all."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spritelora.adapters.files.bases import is_of_embedded, require_sdxl
from spritelora.adapters.files.lora_file import LoraFile, read_lora_file
from spritelora.adapters.layers.earlier_files import lay_recorded
from spritelora.config.commands.generate import BaseConfig, DrawConfig
from spritelora.config.train.schema import Prediction, TrainConfig
from spritelora.data.run_canvases import check_sides, read_sizes
from spritelora.drawing.source import Source
from spritelora.embedded.location import embedded_base
from spritelora.errors import ConfigError, WeightsError
from spritelora.files import is_same
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel, Unet, find_base, load_scheduler, read_prediction
from spritelora.sdxl.sample import Sampling
from spritelora.sprites.pixels.placement import Pair, parse_pair

USUAL_STEPS, USUAL_GUIDANCE, EMBEDDED_GUIDANCE = 25, 8.0, 2.0
"""Where no run says: what SDXL draws well with, and the guidance that the embedded base was tried with."""


@dataclass(frozen=True)
class Drawing:
    """The settings for drawing images. `size`: in pixels, width before height. `zero_snr`: whether noise ends at zero
    signal, None: as the base says.
    """

    size: Pair
    steps: int
    guidance: float
    negative_prompt: str = ""
    seed: int = 0
    prediction: Prediction = Prediction.auto
    zero_snr: bool | None = None

    def sampling(self, base: BaseModel) -> Sampling:
        """The base's sampler as it is drawn with."""
        scheduler = load_scheduler(base, read_prediction(base, self.prediction), self.zero_snr)
        return Sampling(scheduler, self.steps, self.guidance)


@dataclass(frozen=True)
class Subject:
    """Who draws: a base with LoRAs on it, each at its weight, and how. `source`: where the LoRAs come from."""

    base: BaseModel
    loras: list[LoraFile]
    weights: list[float]
    drawing: Drawing
    source: Source

    @property
    def title(self) -> str:
        """The LoRAs' names."""
        return " + ".join(lora.title for lora in self.loras)

    def strengths(self, strength: float) -> tuple[float, ...]:
        """The strength of each LoRA."""
        return tuple(strength * weight for weight in self.weights)

    def lay_earlier(self, unet: Unet) -> None:
        """Make what the run was trained over a part of the base; LoRAs that are not the run's own stand alone.

        Raises WeightsError where it has gone or does not fit.
        """
        lay_recorded(unet, self.source.record if self.source.is_own else None, self.base.name)


def settle_subject(
    source: Source, weights: Sequence[float], model: BaseConfig, sampler: DrawConfig, seed: int | None = None
) -> Subject:
    """Everything as asked for, else as the run drew its samples, else as the LoRA file or the base says.

    Raises ConfigError or WeightsError where LoRAs, weights and base do not fit together.
    """
    weights = settle_weights(weights, source.files)
    loras = [read_lora_file(file) for file in source.files]
    for lora in loras:
        require_sdxl(lora)
    trained = source.settings.model if source.settings else None
    base = find_base(
        model.path or base_path(source.record, loras),
        model.vae or (trained and trained.vae),
        model.tokenizer or (trained and trained.tokenizer),
    )
    if source.record is not None:
        drawing = drawing_of(source.record.settings, source.record.data.canvases)
    else:
        side_px = model.resolution or usual_side(loras, base)
        drawing = Drawing((side_px, side_px), USUAL_STEPS, usual_guidance(base))
    asked = {
        "size": (model.resolution, model.resolution) if model.resolution else None,
        "prediction": model.prediction,
        "steps": sampler.steps,
        "guidance": sampler.guidance,
        "negative_prompt": sampler.negative_prompt,
        "seed": seed,
    }
    drawing = replace(drawing, **{name: value for name, value in asked.items() if value is not None})
    check_sides([drawing.size], "model.resolution")
    return Subject(base, loras, weights, drawing, source)


def drawing_of(settings: TrainConfig, canvases: Mapping[str, int] | None = None) -> Drawing:
    """The settings with which a run draws its samples. `canvases`: as its record has them."""
    model, sampler = settings.model, settings.sampler
    return Drawing(
        size=sample_sizes(settings, canvases)[0],
        steps=sampler.steps,
        guidance=sampler.guidance,
        negative_prompt=sampler.negative_prompt,
        seed=sampler.seed,
        prediction=model.prediction,
        zero_snr=model.zero_terminal_snr,
    )


def sample_sizes(settings: TrainConfig, canvases: Mapping[str, int] | None = None) -> list[Pair]:
    """The sizes that a run's prompts take in turn: as asked for, else its most used canvas. Raises ConfigError.

    `canvases`: as its record has them, the most used first, None for the square alone.
    """
    if (sizes := read_sizes(settings.sampler.shapes)) is not None:
        return sizes
    if canvases:
        return [parse_pair(next(iter(canvases)))]
    return [(settings.model.side_px, settings.model.side_px)]


def settle_weights(weights: Sequence[float], loras: Sequence[object]) -> list[float]:
    """The weight of each LoRA, 1 where none is given. Raises ConfigError for another number of them."""
    if weights and len(weights) != len(loras):
        raise ConfigError(f"lora_strengths has {len(weights)} numbers for {len(loras)} LoRAs; give one for each")
    return list(weights) or [1.0] * len(loras)


def base_path(record: RunRecord | None, loras: Sequence[LoraFile]) -> str:
    """The base of a run, else of a LoRA, else the embedded one. Raises ConfigError where a LoRA does not say."""
    if record is not None:
        folder, path = record.model.folder, record.settings.model.path
        return folder if Path(folder).exists() else path or str(embedded_base())
    if not loras or is_of_embedded(loras[0]):
        return str(embedded_base())
    raise ConfigError(f"model.path is not set, and {loras[0].path} does not say which model it was trained on")


def usual_side(loras: Sequence[LoraFile], base: BaseModel) -> int:
    """The side in pixels that the first LoRA was trained at, where its file says so, else the base's own."""
    return (recorded_side(loras[0]) if loras else None) or 8 * base.config("unet")["sample_size"]


def recorded_side(lora: LoraFile) -> int | None:
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


def usual_guidance(base: BaseModel) -> float:
    """The guidance that a base is drawn with where no run says."""
    return EMBEDDED_GUIDANCE if is_same(base.folder, embedded_base()) else USUAL_GUIDANCE
