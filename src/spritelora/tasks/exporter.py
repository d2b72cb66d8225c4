"""The LoRA file of a run: what its metadata tells, and the function that writes it for a step."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from spritelora.adapters.export import write_lora
from spritelora.adapters.formats import SAVE_DTYPE
from spritelora.adapters.metadata import LoraFacts, describe
from spritelora.adapters.text import text_tensors
from spritelora.config.adapter_keys import AdapterKind
from spritelora.config.schema import TrainConfig
from spritelora.sdxl.base import BaseModel, read_prediction, read_zero_snr
from spritelora.tasks.text_training import text_facts
from spritelora.training.module import LoraModule


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


def adapter_facts(config: TrainConfig) -> dict[str, str]:
    """What metadata says of the kind of an adapter besides rank and alpha; nothing for plain LoRA."""
    if config.adapter.kind is AdapterKind.lora:
        return {}
    told = {"rank_stabilized": True, "alpha_before_sqrt_rank": config.lora.settled_alpha}
    return {"network_args": json.dumps(told)}


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
        facts = LoraFacts(
            title=title,
            base_name=base.title,
            base_channels=tuple(unet.config["block_out_channels"]),
            prediction=read_prediction(base, config.model.prediction).value,
            resolution=config.model.resolution,
            rank=config.lora.rank,
            alpha=config.file_alpha,
            captions=captions,
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
