"""The memory that a run needs, under the plan that it would take."""

from dataclasses import replace
from pathlib import Path

from spritelora.commands.doctor.findings import RunNeed
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.sdxl.files.base import BaseModel, cached_hub_folder
from spritelora.sdxl.layers.quantised import BYTES_PER_WEIGHT
from spritelora.sprites.pixels.placement import Pair
from spritelora.training.hardware import Hardware
from spritelora.training.machine import read_device
from spritelora.training.memory.need import FULL_SIZE, Geometry, choose_plan, read_geometry, run_shapes
from spritelora.training.memory.prediction import SHARE, MemoryUse, Plan, plans
from spritelora.training.memory.savings import savings


def geometry_of(path: str | None, base: BaseModel | None) -> Geometry | None:
    """The geometry of a base; of one that is yet to be fetched SDXL's, None for one here that cannot be read."""
    if base is not None:
        return read_geometry(base)
    is_here = path is None or Path(path).exists() or cached_hub_folder(path) is not None
    return None if is_here else FULL_SIZE


def run_need(
    config: TrainConfig, hardware: Hardware, geometry: Geometry | None, canvas: Pair | None = None
) -> tuple[Plan, RunNeed]:
    """The memory that the run needs under the plan it would take, and the largest batches that others allow.

    Without a geometry nothing is predicted. `canvas`: the largest of the set, None for the square.
    """
    if hardware.device.type == "cpu":
        import spritelora.commands.train.fit  # noqa: F401  # what training loads is in its process
    asked, device = config.hardware, read_device(hardware.device)
    is_cuda, batch_size = device.kind == "cuda", config.trainer.batch_size
    plan = plans(asked.base, asked.gradient_checkpointing, batch_size, is_cuda)[0]
    if geometry is not None:
        plan, _ = choose_plan(config, geometry, hardware, canvas)
    need = RunNeed(
        name=f"{config.model.path or 'the embedded base'}, {config.model.side_px} px, batch {batch_size}, "
        f"rank {config.lora.rank}",
        plan=plan.words,
        bnb=bitsandbytes_parts(config, plan),
        side_px=config.model.side_px,
    )
    if geometry is None:
        return plan, need
    run = run_shapes(config, geometry, hardware, canvas)
    use = run.use(plan)
    formats = [BaseFormat.full, BaseFormat.int8, BaseFormat.nf4] if is_cuda else [plan.base]
    others = [Plan(BaseFormat.full, 0.0, 1), *(Plan(form, 1.0, 1) for form in formats)]
    return plan, replace(
        need,
        peak_gb=use.peak_gb,
        parts_gb=parts_gb(use),
        savings=savings(run, plan, config.lora.rank) if use.peak_gb > device.free_gb else (),
        largest={p.words: run.largest_batch(p, device.total_gb * SHARE) for p in others},
    )


def bitsandbytes_parts(config: TrainConfig, plan: Plan) -> list[str]:
    """The parts of bitsandbytes that the run depends on, by the names of their probes."""
    of_base = [plan.base.value] if plan.base in BYTES_PER_WEIGHT else []
    return [*of_base, "optimizer"] if config.optim._target_.startswith("bitsandbytes.") else of_base


def parts_gb(use: MemoryUse) -> dict[str, float]:
    """The memory of a step by its parts, and of what goes beyond it."""
    names = ("process", "base", "adapter", "gradients", "optimizer", "activations")
    parts = {name: getattr(use, name) / 1e9 for name in names}
    more = {name: getattr(use, name) / 1e9 for name in ("encoding", "sampling") if getattr(use, name) > use.training}
    return {**parts, **{f"in {name} all of": gb for name, gb in more.items()}}
