"""Frozen parts kept from one job of a sweep for the next of the same process, where the next uses the same."""

import gc
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from spritelora.commands.train.sample_metrics import TrainingColours, training_colours
from spritelora.config.fields import Affects, affected
from spritelora.config.plain import Section, flatten, plain
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.data.encode import Encoder
from spritelora.data.encode_set import Encoded, encode_all
from spritelora.data.training_set import TrainingSet
from spritelora.sdxl.files.base import BaseModel, Unet, empty_unet, file_states, load_unet
from spritelora.sdxl.layers.quantised import load_quantised, quantised_unet
from spritelora.sdxl.layers.stored import load_stored, stored_unet
from spritelora.training.callbacks.samples import Images
from spritelora.training.hardware import Hardware

T = TypeVar("T")
Remember = Callable[[Callable[[], T]], T]


class Frozen:
    """The parts that do not change in training, each with the key of all that it depends on.

    Only what no job changes is kept: weights and results, never a module, so that an adapter, a hook or a mode of one
    job cannot reach the next.
    """

    def __init__(self) -> None:
        self._base: object = None
        self._parts: dict[str, tuple[object, Any]] = {}

    def use_base(self, base: BaseModel, hardware: Hardware) -> None:
        """Let go of everything that is of another base model, number format or device."""
        key = (file_states(base), hardware.base_dtype, hardware.base, hardware.device)
        if key != self._base:
            self._base, self._parts = key, {}

    def part(self, name: str, key: object, make: Callable[[], T]) -> T:
        """The part of that name: as kept where the key is equal, else made anew once the old one is let go."""
        if name not in self._parts or self._parts[name][0] != key:
            self.let_go(name)
            self._parts[name] = (key, make())
        return self._parts[name][1]

    def let_go(self, name: str) -> None:
        """Free the memory of a part, where it is kept."""
        self._parts.pop(name, None)

    def unet(self, base: BaseModel, hardware: Hardware) -> Unet:
        """A UNet of its own structure around the kept weights, frozen, on the training device."""
        if hardware.base is BaseFormat.half:
            stored = self.part("unet", None, lambda: load_stored(base, hardware.base_dtype, hardware.device))
            return stored_unet(base, stored)
        if hardware.base is not BaseFormat.full:
            form = (hardware.base, hardware.base_dtype)
            packed = self.part("unet", None, lambda: load_quantised(base, *form, hardware.device))
            return quantised_unet(base, packed, *form)

        def load() -> dict[str, torch.Tensor]:
            return dict(load_unet(base, hardware.base_dtype, hardware.device).state_dict())

        weights = self.part("unet", None, load)
        unet = empty_unet(base)
        unet.load_state_dict(weights, assign=True)
        return unet.requires_grad_(False).eval()


KEPT = Frozen()
"""Of this process, for the jobs of a sweep."""


def encode_kept(frozen: Frozen, config: TrainConfig, encoder: Encoder, sprites: TrainingSet) -> Encoded:
    """The encoded sprites and texts, kept or new; the encoders' memory is given back."""

    def encode() -> Encoded:
        frozen.let_go("unet")  # which is not in memory beside the encoders in a run alone either
        encoded = encode_all(encoder, sprites, config.sampler, config.text_encoders.are_trained)
        gc.collect()
        if encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        return encoded

    return frozen.part("encoded", _encoded_key(config, sprites), encode)


def _encoded_key(config: TrainConfig, sprites: TrainingSet) -> object:
    everything = (*sprites.training, *sprites.held_out, *sprites.regularisation)
    shown = [(s.file, s.repeats, s.fit, s.native_sha256, s.weight, s.subject) for s in everything]
    of_set = (
        sprites.hash,
        sprites.masks_hash,
        sprites.regularisation_hash,
        sprites.every,
        len(sprites.training),
        sprites.matte,
        [[(view.variant, view.captions) for view in viewed.views] for viewed in sprites.viewed],
        shown,
    )
    return of_set, _settings(config, Affects.encodings)


def _settings(config: TrainConfig, result: Affects) -> Section:
    """The settings that change a result, by their keys."""
    return {key: value for key, value in flatten(plain(config)) if affected(TrainConfig, key) is result}


def results_of_base(
    frozen: Frozen, config: TrainConfig, sprites: TrainingSet, earlier: Mapping[str, str]
) -> tuple[Remember[dict[str, float]], Remember[Images]]:
    """Keepers of the base's validation losses and samples, which jobs share that differ in nothing that changes them.

    `earlier`: hashes of adapter files that the run begins with, whose results they are then.
    """
    shared = (_encoded_key(config, sprites), _settings(config, Affects.predictions), dict(earlier))
    losses, samples = ((*shared, _settings(config, result)) for result in (Affects.losses, Affects.samples))
    return (
        lambda measure: frozen.part("validation losses of the base", losses, measure),
        lambda draw: frozen.part("samples of the base", samples, draw),
    )


def colours_kept(frozen: Frozen, config: TrainConfig, sprites: TrainingSet) -> TrainingColours:
    """The colours of the training sprites, which the samples of every job are measured against."""
    return frozen.part("colours", _encoded_key(config, sprites), lambda: training_colours(sprites))
