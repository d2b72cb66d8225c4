"""From checked sprites and settings to a trained LoRA: the composition of one training run."""

import gc
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_method
from pytorch_lightning.loggers import Logger, WandbLogger

from spritelora.adapters.lora import adapter_parameters, lora_layers
from spritelora.config.invocation import Invocation
from spritelora.config.resume import RECORD, STATE_FOLDER, is_run, read_record
from spritelora.config.schema import TrainConfig
from spritelora.data.batch import training_batch
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.data.module import SpriteData
from spritelora.errors import ResumeError, TrainingError, first_line
from spritelora.files import write_whole
from spritelora.sdxl.base import BaseModel, find_base
from spritelora.sdxl.embedded import embedded_base
from spritelora.tasks import assemble
from spritelora.tasks.announce import announce_adapter, announce_plan, announce_results, announce_state_bits
from spritelora.tasks.record import check_resumable, make_record, new_run_id, public_settings, to_json
from spritelora.tasks.training_set import TrainingSet
from spritelora.training.callbacks import FixedNoiseValidation, StepMeter
from spritelora.training.checkpoints import (
    FINAL,
    Checkpoints,
    StopRequest,
    checkpoint_step,
    newest_checkpoint,
    reopen_run,
)
from spritelora.training.hardware import LIGHTNING_PRECISION, Hardware, choose_hardware
from spritelora.training.loggers import RunIdentity
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import eight_bit_share, probe_optimizer
from spritelora.training.probe import measure_step
from spritelora.training.run_log import RunLog
from spritelora.training.samples import Samples
from spritelora.training.state_files import StateFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a run begins: a checkpoint and its step, or at zero."""

    checkpoint: Path | None
    step: int


@dataclass(frozen=True)
class Prepared:
    """All that training needs, loaded and encoded."""

    sprites: TrainingSet
    hardware: Hardware
    base: BaseModel
    encoded: assemble.Encoded
    module: LoraModule


def fit(config: TrainConfig, invocation: Invocation, sprites: TrainingSet) -> float:
    """Train, and write checkpoints, samples and metrics. Returns the last validation loss.

    Raises SystemExit with 128 + the signal's number after a stop by SIGTERM or Ctrl-C.
    """
    started = time.perf_counter()
    if config.hardware.threads is not None:
        torch.set_num_threads(config.hardware.threads)
    hardware = choose_hardware(config.hardware.device, config.hardware.precision)
    cache = Cache(Path(config.data.cache).expanduser())
    base = find_base(config.model.path or str(embedded_base()), config.model.vae, config.model.tokenizer)
    record = make_record(config, invocation, hardware, base, sprites, new_run_id())
    start, record = _find_start(config, record)
    probe_optimizer(assemble.find_optimizer(config.optim), hardware.device, **assemble.optimizer_settings(config.optim))
    try:
        encoder = Encoder(base, cache, hardware.device)
        encoded = assemble.encode_all(encoder, sprites, config.model.resolution, config.sampler)
        _free_encoders(hardware.device)
        module = assemble.build_module(config, base, assemble.build_unet(config, base, hardware))
        prepared = Prepared(sprites, hardware, base, encoded, module)
        _announce(config, prepared, start.step)
        run_log, stopped_by = _train(config, invocation.run_dir, prepared, record, start)
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            f"out of GPU memory ({first_line(error)}); try trainer.batch_size=1, "
            f"hardware.gradient_checkpointing=true, or a smaller model.resolution"
        ) from error
    if stopped_by is not None:
        log.info("stopped on request; to go on: python train.py resume=%s", invocation.run_dir)
        raise SystemExit(128 + stopped_by)
    losses = run_log.series()["validation_loss"]
    first, last = losses[0][1], losses[-1][1]
    elapsed_s = time.perf_counter() - started
    announce_results(invocation.run_dir, elapsed_s, first, last, bool(config.trainer.sample_every))
    return last


def _find_start(config: TrainConfig, record: dict[str, Any]) -> tuple[Start, dict[str, Any]]:
    """Where training begins, and the record with the identity of the run that goes on."""
    if config.resume is None:
        return Start(None, 0), record
    source = Path(config.resume).expanduser()
    recorded = read_record(source)
    check_resumable(source, recorded, record)
    if is_run(source):
        checkpoint = newest_checkpoint(source)
        record = {**record, **{key: recorded[key] for key in ("id", "name", "sweep")}}
    else:
        checkpoint = source
    if checkpoint is None:
        log.info("%s has no checkpoint yet: training starts again at step 0", source)
        return Start(None, 0), record
    step, last = checkpoint_step(checkpoint), config.trainer.max_steps
    is_unfinished = is_run(source) and step == last and not (source / FINAL).is_dir()
    if step >= last and not is_unfinished:
        raise ResumeError(f"{checkpoint} is at step {step} of {last} already; to go on: trainer.max_steps={2 * step}")
    log.info("going on from step %d of %s", step, checkpoint)
    return Start(checkpoint, step), record


def _free_encoders(device: torch.device) -> None:
    """Give the encoders' memory back, and count the peak from here."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _announce(config: TrainConfig, prepared: Prepared, first_step: int) -> None:
    module, encoded, hardware = prepared.module, prepared.encoded, prepared.hardware
    parameters = adapter_parameters(module.unet)
    num_parameters = sum(p.numel() for p in parameters)
    bytes_per_weight = assemble.SAVE_DTYPE[config.lora.save_dtype].itemsize
    announce_adapter(config, len(lora_layers(module.unet)), num_parameters, bytes_per_weight)
    announce_state_bits(eight_bit_share(module.make_optimizer(parameters)))
    num_timesteps = len(module.objective.alphas)
    batch = training_batch(encoded.training, config.seed, range(config.trainer.batch_size), num_timesteps)
    autocast = torch.autocast(hardware.device.type, hardware.base_dtype, hardware.base_dtype != torch.float32)
    cost = measure_step(module, batch, autocast)
    announce_plan(config, hardware, cost, encoded.training.repeats, len(encoded.held_out), first_step)


def _train(
    config: TrainConfig, run_dir: Path, prepared: Prepared, record: dict[str, Any], start: Start
) -> tuple[RunLog, int | None]:
    """Run the loop. Returns the run's log, and the signal that stopped it early, if one did."""
    settings, module, encoded = config.trainer, prepared.module, prepared.encoded
    checkpoint = reopen_run(run_dir, start.checkpoint)
    write_whole(run_dir / RECORD, to_json(record))
    identity = RunIdentity(run_dir, record["name"], record["id"], record["sweep"], public_settings(record))
    logger = _open_logger(config.logger, identity)
    try:
        run_log = RunLog(run_dir, logger, start.step)
        meter = StepMeter(run_log, settings.log_every, settings.batch_size)
        num_timesteps = len(module.objective.alphas)
        validation = assemble.build_validation(config.validation, encoded, num_timesteps, settings.batch_size)
        plan = assemble.build_sample_plan(config, prepared.base, prepared.sprites, encoded, prepared.hardware)
        captions = [s.caption for s in prepared.sprites.training]
        export = assemble.make_exporter(config, prepared.base, module.unet, captions, title=run_dir.name)
        stop = StopRequest()
        checkpoints = Checkpoints(run_log, meter, stop, to_json(record), export, settings.save_every)
        trainer = pl.Trainer(
            accelerator="gpu" if prepared.hardware.device.type == "cuda" else "cpu",
            devices=1,
            precision=LIGHTNING_PRECISION[prepared.hardware.precision],  # pyright: ignore
            max_steps=settings.max_steps,
            max_epochs=-1,
            accumulate_grad_batches=settings.accumulate,
            gradient_clip_val=settings.clip_norm or None,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[StateFiles()],
            callbacks=[  # in this order at each step
                stop,
                meter,
                FixedNoiseValidation(run_log, meter, validation, settings.validate_every),
                Samples(run_log, meter, plan, settings.sample_every),
                checkpoints,
            ],
        )
        data = SpriteData(encoded.training, config.seed, settings.batch_size, num_timesteps)
        trainer.fit(module, data, ckpt_path=str(checkpoint / STATE_FOLDER) if checkpoint else None)
        is_finished = trainer.global_step >= settings.max_steps
        if is_finished:
            run_log.write_summary("finished", trainer.global_step)
    finally:
        _close_logger(logger)
    if is_finished:
        checkpoints.save(trainer, FINAL)  # last, for it says that the run ended well
    return run_log, None if is_finished else stop.signal


def _open_logger(settings: dict[str, Any], identity: RunIdentity) -> Logger:
    arguments = {k: v for k, v in settings.items() if k != "_target_"}
    return get_method(settings["_target_"])(identity, **arguments)


def _close_logger(logger: Logger) -> None:
    logger.finalize("success")
    if isinstance(logger, WandbLogger):
        import wandb

        wandb.finish()  # without it the next job of a sweep would be logged into this run
