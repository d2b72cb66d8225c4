"""The events at the steps of a run, built from its settings."""

from spritelora.commands.train.assemble import build_validation
from spritelora.commands.train.exporter import colour_facts, data_facts, make_exporter
from spritelora.commands.train.first_look import tell_of_set
from spritelora.commands.train.frozen import results_of_base
from spritelora.commands.train.prepared import Prepared
from spritelora.commands.train.record import to_json
from spritelora.commands.train.sample_metrics import build_sample_plan
from spritelora.config.invocation import Invocation
from spritelora.data.team import Team
from spritelora.training.callbacks.checkpoints import Checkpoints, StopRequest
from spritelora.training.callbacks.ema import Average
from spritelora.training.callbacks.finite import FiniteGuard
from spritelora.training.callbacks.progress import Clock, FixedNoiseValidation, StepMeter
from spritelora.training.callbacks.pruning import Pruning
from spritelora.training.callbacks.samples import SAMPLES, Samples
from spritelora.training.callbacks.stopping import BestCheckpoint
from spritelora.training.callbacks.study import join_trial
from spritelora.training.loop import Parts, StepEvents


def build_events(prepared: Prepared, invocation: Invocation, stop: StopRequest) -> StepEvents:
    """The events of a run and the parts that they call. Only the first process draws samples and has a trial."""
    config, settings, team = prepared.config, prepared.config.trainer, stop.team
    run_log, run_dir, encoded = prepared.run_log, prepared.run_log.run_dir, prepared.encoded
    earlier = prepared.earlier.hashes
    remember_losses, remember_images = results_of_base(prepared.frozen, config, prepared.sprites, earlier)
    batches = build_validation(config, encoded, len(prepared.module.objective.alphas))
    every = settings.sample_every
    samples = None
    if team.is_first:
        is_new = every > 0 and prepared.checkpoint is None
        tell_of_set(prepared.base.folder, prepared.sprites, run_dir / SAMPLES / "training_set.png" if is_new else None)
    if team.is_first and every > 0:
        plan = build_sample_plan(config, prepared.base, prepared.sprites, encoded, prepared.hardware.device)
        samples = Samples(run_log, plan, every, remember_images)
    keeps_best = settings.keep_best or settings.patience
    trial = join_trial(run_dir, invocation.storage) if team.is_first else None
    parts = Parts(
        stop=stop,
        guard=FiniteGuard(encoded.training.names, run_dir, team),
        meter=StepMeter(run_log, Clock(), config.sprites_a_step, team),
        validation=FixedNoiseValidation(run_log, batches, settings.validate_every, team, remember_losses),
        checkpoints=build_checkpoints(prepared, team),
        max_norm=settings.max_norm,
        average=Average(settings.ema) if settings.ema else None,
        pruning=Pruning(trial, team),
        samples=samples,
        best=BestCheckpoint(run_dir, settings.patience, settings.min_improvement, prepared.checkpoint, team)
        if keeps_best
        else None,
    )
    return StepEvents(parts, run_log, settings.log_every, invocation.on_first_step)


def build_checkpoints(prepared: Prepared, team: Team) -> Checkpoints:
    """The writer of the run's checkpoints, each with its LoRA file."""
    config, sprites, run_dir = prepared.config, prepared.sprites, prepared.run_log.run_dir
    captions = [sprite.caption for sprite in sprites.training]
    facts = {**data_facts(config.data, sprites), **colour_facts(sprites), **prepared.earlier.facts}
    export = make_exporter(config, prepared.base, prepared.module, captions, title=run_dir.name, told=facts)
    settings = config.trainer
    return Checkpoints(run_dir, to_json(prepared.record), export, settings.save_every, settings.keep_last, team)
