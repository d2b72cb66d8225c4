"""From checked sprites and settings to a trained LoRA: the composition of one training run."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import LambdaCallback

from spritelora.adapters.files.formats import SAVE_DTYPE
from spritelora.adapters.layers.earlier_files import Earlier, read_earlier
from spritelora.adapters.layers.lora import adapter_parameters
from spritelora.adapters.layers.peft_layer import adapted_layers
from spritelora.commands.train import assemble
from spritelora.commands.train.announce import (
    announce_adapter,
    announce_plan,
    announce_results,
    announce_state_bits,
    warn_of_two_schedules,
)
from spritelora.commands.train.data_facts import data_facts
from spritelora.commands.train.ending import deadline_of, end_before_its_end, finish, result_loss
from spritelora.commands.train.exporter import make_exporter
from spritelora.commands.train.frozen import Frozen, colours_kept, encode_kept, results_of_base
from spritelora.commands.train.launch import TeamEnvironment, TeamStrategy, choose_place, open_team
from spritelora.commands.train.record import make_record, new_run_id, to_json
from spritelora.commands.train.run_files import close_logger, open_log
from spritelora.commands.train.sample_metrics import build_sample_plan, measure_samples
from spritelora.commands.train.start import Start, find_start, restoring, settle_threads
from spritelora.config.invocation import Invocation, tell_nobody
from spritelora.config.train.processes import settle_processes
from spritelora.config.train.schema import TrainConfig
from spritelora.data.batch import Recipe, training_batch
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.data.stream import SpriteData
from spritelora.data.team import Team
from spritelora.data.training_set import TrainingSet
from spritelora.embedded.location import embedded_base
from spritelora.errors import DatasetError, Pruned, TrainingError
from spritelora.process import choose_products, map_large_blocks
from spritelora.runs.layout import FINAL, LORA_FILE, STATE_FOLDER
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import BaseModel, find_base
from spritelora.training.callbacks.checkpoints import TIME_UP, Checkpoints, StopRequest, reopen_run
from spritelora.training.callbacks.ema import Average
from spritelora.training.callbacks.finite import FiniteGuard
from spritelora.training.callbacks.max_norm import MaxNorm
from spritelora.training.callbacks.progress import FixedNoiseValidation, StepMeter
from spritelora.training.callbacks.pruning import Pruning
from spritelora.training.callbacks.samples import Samples
from spritelora.training.callbacks.stopping import BestCheckpoint
from spritelora.training.callbacks.study import join_trial
from spritelora.training.hardware import (
    Hardware,
    choose_hardware,
    cpu_threads,
    is_out_of_memory,
    reset_peak_memory,
    share_threads,
)
from spritelora.training.logs.followers import UnwrittenLog
from spritelora.training.logs.run_log import RunLog
from spritelora.training.memory.need import settle_savings
from spritelora.training.memory.out_of_memory import explain_out_of_memory
from spritelora.training.memory.savings import run_savings
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import eight_bit_share, find_optimizer, optimizer_settings, probe_optimizer
from spritelora.training.probe import measure_step
from spritelora.training.state_files import StateFiles
from spritelora.training.text_training import add_text, announce_text, check_text
from spritelora.training.trainer import make_trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """All that training needs, loaded and encoded; and what is kept of it for the next job."""

    frozen: Frozen
    sprites: TrainingSet
    hardware: Hardware
    base: BaseModel
    encoded: assemble.Encoded
    module: LoraModule
    recipe: Recipe
    earlier: Earlier


def fit(config: TrainConfig, invocation: Invocation, sprites: TrainingSet, frozen: Frozen) -> float:
    """Train, and write checkpoints, samples and metrics. Returns the last validation loss.

    Raises Pruned where a search ends the run early, SystemExit with 128 + the signal's number after a stop by SIGTERM
    or Ctrl-C and with 124 at its time limit, TimeUp there for a job of a sweep.
    """
    place = choose_place(config)
    told, invocation = invocation.on_first_step, replace(invocation, on_first_step=tell_nobody)
    map_large_blocks()
    threads = settle_threads(config)
    with cpu_threads(threads):
        share_threads(threads, place)
        hardware = choose_hardware(config.hardware.device, config.hardware.precision, place)
        settled = settle_processes(config, place)
        with open_team(settled, invocation, hardware.place, hardware.device) as team:
            config, invocation = team.share((settled, invocation))
            # Processes that start anew for each job would wait for one that has kept its parts.
            frozen = frozen if team.size == 1 else Frozen()
            loss, stopped_by = _fit(config, replace(invocation, on_first_step=told), sprites, hardware, team, frozen)
    if stopped_by is not None:
        end_before_its_end(config, invocation, stopped_by)
    return loss


def _fit(
    config: TrainConfig, invocation: Invocation, sprites: TrainingSet, hardware: Hardware, team: Team, frozen: Frozen
) -> tuple[float, int | None]:
    """Returns the validation loss of the result, and the exit status of a stop before the end, if there was one."""
    started = time.perf_counter()
    cache = Cache(Path(config.data.cache))
    stop, prepared = StopRequest(team, deadline_of(config.trainer.max_time)), None
    try:
        with team.together():
            base = find_base(config.model.path or str(embedded_base()), config.model.vae, config.model.tokenizer)
            choose_products(base.config("unet"))
            _check_same_sprites(sprites, team)
            config, hardware = settle_savings(config, base, hardware, team)
            earlier = read_earlier(config.adapter)
            record = make_record(config, invocation, hardware, base, sprites, new_run_id(), earlier.hashes)
            start, record = team.share(find_start(config, record) if team.is_first else (Start(None, 0), record))
            assemble.check_adapter(config, base, earlier)
            check_text(config, base)
            objective, recipe = assemble.build_objective(config, base), assemble.build_recipe(config)
            optimizer = find_optimizer(config.optim)
            settings = optimizer_settings(config.optim, hardware.precision)
            factors = assemble.rate_factors(config)
            probe_optimizer(optimizer, hardware.device, factors, **settings)
            frozen.use_base(base, hardware)
            encoded = encode_kept(frozen, config, Encoder(base, cache, hardware.device, team), sprites)
            reset_peak_memory(hardware.device)
            unet = assemble.add_adapter(config, frozen.unet(base, hardware), earlier)
            text = add_text(config, base, hardware)
            module = assemble.build_module(config, objective, unet, hardware.precision, text)
            prepared = Prepared(frozen, sprites, hardware, base, encoded, module, recipe, earlier)
            _announce(config, prepared, start.step)
        run_log, stopped_by = _train(config, invocation, prepared, record, start, stop)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        saved = run_savings(config, prepared.base, hardware) if prepared else ()
        raise TrainingError(explain_out_of_memory(error, hardware.device, saved)) from error
    finally:
        stop.release()
    first, last = run_log.series()["validation_loss"][0][1], result_loss(run_log, config.trainer.patience)
    elapsed_s = time.perf_counter() - started
    if stopped_by is None:
        announce_results(invocation.run_dir, elapsed_s, first, last, bool(config.trainer.sample_every))
    return last, stopped_by


def _check_same_sprites(sprites: TrainingSet, team: Team) -> None:
    """Raise DatasetError where a process has read others than the first."""
    hashes = team.meet((sprites.hash, sprites.views, sprites.masks_hash, sprites.regularisation_hash))
    if other := [rank for rank, found in enumerate(hashes) if found != hashes[0]]:
        raise DatasetError(
            f"process {other[0]} has read other sprites or captions than the first: data.path must be the same "
            f"folder, or an equal copy, on every machine"
        )


def _announce(config: TrainConfig, prepared: Prepared, first_step: int) -> None:
    module, encoded, hardware = prepared.module, prepared.encoded, prepared.hardware
    parameters = adapter_parameters(module.unet)
    num_parameters = sum(p.numel() for p in parameters)
    bytes_per_weight = SAVE_DTYPE[config.lora.save_dtype].itemsize
    announce_adapter(config, len(adapted_layers(module.unet)), num_parameters, bytes_per_weight)
    warn_of_two_schedules(config)
    announce_text(config, module)
    announce_state_bits(eight_bit_share(module.make_optimizer(module.trainable())))
    num_timesteps = len(module.objective.alphas)
    positions = range(config.trainer.batch_size)
    batch = training_batch(encoded.training, config.seed, positions, num_timesteps, prepared.recipe)
    is_16_bit = hardware.base_dtype != torch.float32
    autocast = torch.autocast(hardware.device.type, hardware.base_dtype, is_16_bit, cache_enabled=False)  # as Lightning
    if config.hardware.compile:
        log.info("compiling the transformer blocks: a minute or more")
    cost = measure_step(module, batch, autocast)
    announce_plan(config, hardware, cost, encoded.training.repeats, len(encoded.held_out), first_step)


def _train(
    config: TrainConfig,
    invocation: Invocation,
    prepared: Prepared,
    record: RunRecord,
    start: Start,
    stop: StopRequest,
) -> tuple[RunLog, int | None]:
    """Run the loop. Returns the run's log, and the exit status of a stop before the end, if there was one."""
    settings, module, encoded = config.trainer, prepared.module, prepared.encoded
    run_dir, team, begun = invocation.run_dir, stop.team, prepared.earlier
    remember_losses, remember_images = results_of_base(prepared.frozen, config, prepared.sprites, begun.hashes)
    with team.together():
        checkpoint = team.share(reopen_run(run_dir, start.checkpoint) if team.is_first else None)
        run_log = open_log(config, run_dir, record, start.step) if team.is_first else UnwrittenLog(run_dir)
    try:
        meter = StepMeter(run_log, settings.log_every, settings.batch_size, team)
        num_timesteps = len(module.objective.alphas)
        validation = assemble.build_validation(
            config.validation, config.data.holdout, encoded, num_timesteps, settings.batch_size
        )
        plan = build_sample_plan(config, prepared.base, prepared.sprites, encoded, prepared.hardware)
        captions = [s.caption for s in prepared.sprites.training]
        told = {**data_facts(config.data, prepared.sprites), **begun.facts}
        export = make_exporter(config, prepared.base, module, captions, title=run_dir.name, told=told)
        pruning = Pruning(run_log, meter, join_trial(run_dir, invocation.storage) if team.is_first else None, team)
        guard = FiniteGuard(encoded.training.names, run_dir, settings.log_every, team)
        checkpoints = Checkpoints(
            run_log, meter, stop, to_json(record), export, settings.save_every, guard.check, settings.keep_last
        )
        every = settings.sample_every
        samples = Samples(run_log, meter, plan, every, remember_images) if team.is_first else None
        has_begun = threading.Event()
        best = BestCheckpoint(checkpoints, settings.patience, settings.min_improvement, samples, checkpoint)
        trainer = make_trainer(
            prepared.hardware,
            settings.max_steps,
            settings.clip_norm,
            callbacks=[  # in this order at each step
                LambdaCallback(on_train_start=lambda *_: has_begun.set()),
                stop,
                guard,
                meter,
                *([MaxNorm(run_log, settings.max_norm, settings.log_every)] if settings.max_norm else []),
                *([Average(settings.ema)] if settings.ema else []),
                FixedNoiseValidation(run_log, meter, validation, settings.validate_every, team, remember_losses),
                pruning,
                *([samples] if samples is not None else []),
                *([best] if settings.keep_best or settings.patience else []),
                checkpoints,
                LambdaCallback(on_train_start=lambda *_: invocation.on_first_step()),
            ],
            devices=config.hardware.devices,
            num_nodes=config.hardware.num_nodes,
            strategy=TeamStrategy() if team.size > 1 else "auto",
            accumulate_grad_batches=settings.accumulate,
            plugins=[StateFiles(), TeamEnvironment(team.place)],
        )
        data = SpriteData(encoded.training, config.seed, settings.batch_size, num_timesteps, prepared.recipe)
        with restoring(checkpoint, has_begun.is_set):
            trainer.fit(module, data, ckpt_path=str(checkpoint / STATE_FOLDER) if checkpoint else None)
        is_finished = best.is_over(trainer)
        if is_finished:
            finish(trainer, run_log, best, lambda folder: _measure_samples(config, prepared, folder))
        elif pruning.pruned_at is not None and stop.status is None:
            run_log.write_summary("pruned", pruning.pruned_at)
            loss = run_log.value_at(pruning.pruned_at, "validation_loss")
            log.info("pruned at step %d of %d: validation loss %.4f", pruning.pruned_at, settings.max_steps, loss)
            raise Pruned(f"pruned at step {pruning.pruned_at} of {settings.max_steps}")
    finally:
        if run_log.logger is not None:
            close_logger(run_log.logger, run_dir / FINAL / LORA_FILE)
    return run_log, None if is_finished and (invocation.sweep is None or stop.status == TIME_UP) else stop.status


def _measure_samples(config: TrainConfig, prepared: Prepared, folder: Path) -> dict[str, Any]:
    """The summary's part about the last samples, empty where none are drawn."""
    if not config.trainer.sample_every or not folder.is_dir():
        return {}
    colours = colours_kept(prepared.frozen, config, prepared.sprites)
    return {"samples": measure_samples(folder, prepared.sprites, colours)}
