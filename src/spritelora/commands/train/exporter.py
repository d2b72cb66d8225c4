"""The LoRA file of a run: what its metadata tells, and the function that writes it for a step."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spritelora.adapters.files.formats import SAVE_DTYPE
from spritelora.adapters.files.merge import rank_metadata
from spritelora.adapters.files.metadata import LoraFacts, SetColours, describe
from spritelora.adapters.layers.live import live_changes
from spritelora.adapters.layers.proof import write_lora
from spritelora.adapters.layers.text_layers import text_tensors
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.data_keys import DataConfig
from spritelora.config.train.schema import TrainConfig
from spritelora.data.training_set import TrainingSet
from spritelora.sdxl.files.base import BaseModel, Unet, read_prediction, read_zero_snr
from spritelora.sprites.folder.sprite_folder import native_sprite
from spritelora.training.module import LoraModule
from spritelora.training.text_training import text_facts


def objective_facts(config: TrainConfig, zero_snr: bool) -> dict[str, object]:
    """The objective under the names that kohya gives its settings, None for what is off."""
    objective, loss = config.objective, config.loss
    weighting = config.weighting["_target_"].rpartition(".")[2]
    names = {"MeanSquared": "l2", "Huber": "huber", "SmoothL1": "smooth_l1"}
    kind = loss["_target_"].rpartition(".")[2]
    return {
        "noise_offset": objective.noise_offset,
        "adaptive_noise_scale": objective.adaptive_offset or None,
        "multires_noise_iterations": objective.pyramid_levels or None,
        "multires_noise_discount": objective.pyramid_discount if objective.pyramid_levels else None,
        "ip_noise_gamma": objective.perturbation or None,
        "min_snr_gamma": config.weighting.get("gamma"),
        "debiased_estimation": weighting == "Debiased",
        "zero_terminal_snr": zero_snr,
        "loss_type": names.get(kind, kind),
        "huber_schedule": loss.get("schedule"),
        "huber_c": loss.get("c"),
        "masked_loss": objective.masked_loss,
        "caption_dropout_rate": config.data.caption_dropout,
        "shuffle_caption": config.data.shuffle_tags,
        "keep_tokens": config.data.keep_tags if config.data.shuffle_tags else None,
    }


NETWORKS = {AdapterKind.dora: "lycoris.kohya", AdapterKind.lokr: "lycoris.kohya", AdapterKind.loha: "lycoris.kohya"}
"""The module that trains the kind in kohya's trainer, where that is not its own."""


def adapter_facts(config: TrainConfig) -> dict[str, str]:
    """The metadata of an adapter besides rank and alpha, in LyCORIS's words where it has them, all text."""
    adapter, told = config.adapter, dict[str, object]()
    if adapter.kind is AdapterKind.rslora:
        told = {"rank_stabilized": True, "alpha_before_sqrt_rank": config.lora.settled_alpha}
    elif adapter.kind is AdapterKind.dora:
        told = {"algo": "lora", "dora_wd": "True", "wd_on_output": "True", "dora_norm": "base"}
    elif adapter.kind is AdapterKind.lokr:
        splits = {"factor": str(adapter.lokr_factor), "decompose_both": str(adapter.decompose_both)}
        told = {"algo": "lokr", **splits, "use_tucker": str(adapter.tucker)}
    elif adapter.kind is AdapterKind.loha:
        told = {"algo": "loha", "use_tucker": str(adapter.tucker)}
    for key in ("rank_pattern", "alpha_pattern"):
        if pattern := getattr(config.lora, key):
            told[key] = pattern
    if config.optim.lora_plus != 1:
        told["loraplus_lr_ratio"] = str(config.optim.lora_plus)
    return {"network_args": json.dumps(told)} if told else {}


def rank_facts(config: TrainConfig, unet: Unet) -> tuple[int | str, float | str]:
    """Rank and alpha of a file, "Dynamic" where layers differ."""
    if not (config.lora.rank_pattern or config.lora.alpha_pattern):
        return config.lora.rank, config.file_alpha
    told = rank_metadata(live_changes(unet))
    return told["ss_network_dim"], told["ss_network_alpha"]


def data_facts(config: DataConfig, sprites: TrainingSet) -> dict[str, object]:
    """The sets with their repeats and counts, the images that regularise, and the canvases besides a square; nothing
    where there are none of these.
    """
    told: dict[str, object] = {}
    if sprites.recorded_canvases:
        buckets = [{"resolution": list(canvas), "count": count} for canvas, count in sprites.canvases.items()]
        told["enable_bucket"] = True
        told["bucket_info"] = json.dumps({"buckets": dict(enumerate(buckets))})
    if config.sets:
        told["dataset_dirs"] = json.dumps({
            name: {
                "n_repeats": of_set.repeats,
                "img_count": sum(s.name.startswith(f"{name}/") for s in sprites.training),
                "weight": of_set.weight,
            }
            for name, of_set in config.sets.items()
        })  # fmt: skip
    if config.regularisation.path is not None:
        images, folder = sprites.regularisation, Path(config.regularisation.path).resolve().name
        told["num_reg_images"] = len(images)
        told["prior_loss_weight"] = config.regularisation.weight
        told["reg_dataset_dirs"] = json.dumps({folder: {"n_repeats": 1, "img_count": len(images)}})
    return told


LOOKED_AT = 64
"""Sprites looked at for clear pixels: reading all of a large set would take minutes."""


def colour_facts(sprites: TrainingSet) -> dict[str, object]:
    """The set's colours and matte, so that whoever draws with the LoRA can lock to them."""
    every = [*sprites.training, *sprites.held_out]
    colours = np.unique(np.concatenate([sprite.colours.visible for sprite in every]))
    is_clear = any((native_sprite(sprite).alpha == 0).any() for sprite in every[:LOOKED_AT])
    matte = sprites.matte_text if is_clear else None
    return SetColours(tuple(f"#{colour:06x}" for colour in colours.tolist()), matte).facts


def make_exporter(
    config: TrainConfig,
    base: BaseModel,
    module: LoraModule,
    captions: list[str],
    title: str,
    told: Mapping[str, object],
) -> Callable[[Path, int], None]:
    """A function that writes the LoRA file for a step. `told`: further settings, under kohya's names."""
    unet, dtype = module.unet, SAVE_DTYPE[config.lora.save_dtype]

    def export(file: Path, step: int) -> None:
        rank, alpha = rank_facts(config, unet)
        facts = LoraFacts(
            title=title,
            base_name=base.title,
            base_channels=tuple(unet.config["block_out_channels"]),
            prediction=read_prediction(base, config.model.prediction).value,
            resolution=config.model.side_px,
            rank=rank,
            alpha=alpha,
            captions=captions,
            network=NETWORKS.get(config.adapter.kind, "networks.lora"),
            settings={
                "learning_rate": config.optim.lr,
                "optimizer": config.optim._target_,
                "seed": config.seed,
                "steps": step,
                "max_train_steps": config.trainer.max_steps,
                "batch_size_per_device": config.trainer.batch_size,
                "gradient_accumulation_steps": config.trainer.accumulate,
                "network_dropout": config.lora.dropout,
                **adapter_facts(config),
                **text_facts(config),
                **objective_facts(config, read_zero_snr(base, config.model.zero_terminal_snr)),
                **told,
            },
        )
        of_text = text_tensors(module.text.parts, dtype) if module.text is not None else None
        write_lora(file, unet, dtype, describe(facts), of_text)

    return export
