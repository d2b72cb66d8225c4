"""One training run from beginning to end: prepare, train, finish."""

import os
import time
from dataclasses import replace
from pathlib import Path

from spritelora.adapters.layers.earlier_files import read_earlier
from spritelora.commands.train import assemble
from spritelora.commands.train.announce import announce_results, announce_run
from spritelora.commands.train.distributed import TeamEnvironment, TeamStrategy, open_team
from spritelora.commands.train.ending import (
    closing,
    deadline_of,
    end_before_its_end,
    end_pruned,
    finish,
    result_loss,
)
from spritelora.commands.train.events import build_events
from spritelora.commands.train.frozen import Frozen, encode_kept
from spritelora.commands.train.prepared import Prepared
from spritelora.commands.train.record import make_record, new_run_id
from spritelora.commands.train.start import (
    Start,
    check_same_sprites,
    find_start,
    open_log,
    restoring,
    settle_by_set,
    settle_threads,
)
from spritelora.config.invocation import Invocation, tell_nobody
from spritelora.config.train.processes import Place, find_place, settle_processes
from spritelora.config.train.schema import TrainConfig
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.data.stream import SpriteData
from spritelora.data.team import Team
from spritelora.data.training_set import TrainingSet
from spritelora.embedded.location import embedded_base
from spritelora.process import choose_products, map_large_blocks
from spritelora.runs.layout import STATE_FOLDER
from spritelora.sdxl.files.base import find_base
from spritelora.training.callbacks.checkpoints import TIME_UP, StopRequest, reopen_run
from spritelora.training.hardware import (
    Hardware,
    choose_hardware,
    cpu_threads,
    reset_peak_memory,
    share_threads,
)
from spritelora.training.logs.followers import UnwrittenLog
from spritelora.training.memory.need import settle_savings
from spritelora.training.memory.out_of_memory import telling_of_memory
from spritelora.training.memory.savings import run_savings
from spritelora.training.state_files import StateFiles
from spritelora.training.text_training import add_text, check_text
from spritelora.training.trainer import make_trainer


def fit(config: TrainConfig, invocation: Invocation, sprites: TrainingSet, frozen: Frozen) -> float:
    """Train, and write checkpoints, samples and metrics. Returns the last validation loss.

    Raises Pruned where a search ends the run early, SystemExit with 128 + the signal's number after a stop by SIGTERM
    or Ctrl-C and with 124 at its time limit, TimeUp there for a job of a sweep.
    """
    place = find_place(os.environ) or Place()
    assert place.size > 1 or config.hardware.devices == 1, "the door starts the processes"
    told, invocation = invocation.on_first_step, replace(invocation, on_first_step=tell_nobody)
    map_large_blocks()
    threads = settle_threads(config)
    with cpu_threads(threads):
        share_threads(threads, place)
        hardware = choose_hardware(config.hardware.device, config.hardware.precision, place)
        settled = settle_processes(config, place)
        with open_team(hardware.place, hardware.device, config.hardware.join_timeout, invocation.run_dir) as team:
            config, invocation = team.share((settled, invocation))
            # Processes that start anew for each job would wait for one that has kept its parts.
            frozen = frozen if team.size == 1 else Frozen()
            loss, stopped_by = _fit(config, replace(invocation, on_first_step=told), sprites, hardware, team, frozen)
    if stopped_by is not None and place.rank == 0:
        end_before_its_end(config, invocation, stopped_by)
    return loss


def _fit(
    config: TrainConfig, invocation: Invocation, sprites: TrainingSet, hardware: Hardware, team: Team, frozen: Frozen
) -> tuple[float, int | None]:
    """Returns the validation loss of the result, and the exit status of a stop before the end, if there was one."""
    started = time.perf_counter()
    stop = StopRequest(team, deadline_of(config.trainer.max_time))
    try:
        with telling_of_memory(hardware.device), team.together():
            prepared = prepare(config, invocation, sprites, hardware, team, frozen)
        settled, base, chosen = prepared.config, prepared.base, prepared.hardware
        with telling_of_memory(hardware.device, lambda: run_savings(settled, base, chosen, sprites.largest_canvas)):
            stopped_by = train(prepared, invocation, stop)
    finally:
        stop.release()
    first, last = prepared.run_log.series()["validation_loss"][0][1], result_loss(prepared)
    if stopped_by is None:
        elapsed_s = time.perf_counter() - started
        announce_results(invocation.run_dir, elapsed_s, first, last, bool(config.trainer.sample_every))
    return last, stopped_by


def prepare(
    config: TrainConfig, invocation: Invocation, sprites: TrainingSet, hardware: Hardware, team: Team, frozen: Frozen
) -> Prepared:
    """Check all settings, encode the data, load the model with its adapter, and open the log of the run."""
    base = find_base(config.model.path or str(embedded_base()), config.model.vae, config.model.tokenizer)
    choose_products(base.config("unet"))
    check_same_sprites(sprites, team)
    config = settle_by_set(config, sprites)
    config, hardware = settle_savings(config, base, hardware, team, sprites.largest_canvas)
    earlier = read_earlier(config.adapter)
    record = make_record(config, invocation, hardware, base, sprites, new_run_id(), earlier.hashes)
    start, record = team.share(find_start(config, record) if team.is_first else (Start(None, 0), record))
    assemble.check_adapter(config, base, earlier)
    check_text(config, base)
    objective, recipe = assemble.build_objective(config, base), assemble.build_recipe(config)
    assemble.check_optimizer(config, hardware.device, hardware.precision)

    frozen.use_base(base, hardware)
    encoder = Encoder(base, Cache(Path(config.data.cache)), hardware.device, team)
    encoded = encode_kept(frozen, config, encoder, sprites)
    reset_peak_memory(hardware.device)
    unet = assemble.add_adapter(config, frozen.unet(base, hardware), earlier)
    text = add_text(config, base, hardware)
    module = assemble.build_module(config, objective, unet, hardware.precision, text)
    canvas = sprites.largest_canvas
    with telling_of_memory(hardware.device, lambda: run_savings(config, base, hardware, canvas)):  # its pass is first
        announce_run(config, hardware, module, encoded, recipe, start.step)

    run_dir = invocation.run_dir
    checkpoint = team.share(reopen_run(run_dir, start.checkpoint) if team.is_first else None)
    run_log = open_log(config, run_dir, record, start.step) if team.is_first else UnwrittenLog(run_dir)
    return Prepared(
        config=config,
        sprites=sprites,
        hardware=hardware,
        base=base,
        earlier=earlier,
        frozen=frozen,
        encoded=encoded,
        recipe=recipe,
        module=module,
        record=record,
        checkpoint=checkpoint,
        run_log=run_log,
    )


def train(prepared: Prepared, invocation: Invocation, stop: StopRequest) -> int | None:
    """Run the loop, and finish. Returns the exit status of a stop before the end, if there was one."""
    config, settings, checkpoint = prepared.config, prepared.config.trainer, prepared.checkpoint
    num_timesteps = len(prepared.module.objective.alphas)
    with closing(prepared.run_log):
        data = SpriteData(prepared.encoded.training, config.seed, settings.batch_size, num_timesteps, prepared.recipe)
        events = build_events(prepared, invocation, stop)
        trainer = make_trainer(
            prepared.hardware,
            settings.max_steps,
            settings.clip_norm,
            callbacks=[events],
            devices=config.hardware.devices,
            num_nodes=config.hardware.num_nodes,
            strategy=TeamStrategy() if stop.team.size > 1 else "auto",
            accumulate_grad_batches=settings.accumulate,
            plugins=[StateFiles(), TeamEnvironment(stop.team.place)],
        )
        with restoring(checkpoint, lambda: events.has_begun):
            trainer.fit(prepared.module, data, ckpt_path=str(checkpoint / STATE_FOLDER) if checkpoint else None)
        if events.is_over(trainer):
            finish(prepared, trainer, events)
            return stop.status if invocation.sweep is not None and stop.status != TIME_UP else None
        if events.pruned_at is not None and stop.status is None:
            end_pruned(prepared.run_log, events, settings.max_steps)
    return stop.status
