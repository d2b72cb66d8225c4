"""`scripts/doctor.py`: the machine as it is, held against what a run needs."""

import platform
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from spritelora.commands.doctor.ceiling import ceiling_of
from spritelora.commands.doctor.data_facts import DataFacts, read_data
from spritelora.commands.doctor.findings import Disk, MachineFacts, failures, find_all, to_table
from spritelora.commands.doctor.memory_need import geometry_of, run_need
from spritelora.commands.doctor.time_need import time_need
from spritelora.commands.train.assemble import rate_factors
from spritelora.config.train.hardware_keys import BaseFormat
from spritelora.config.train.schema import TrainConfig
from spritelora.data.run_resolution import settle_resolution
from spritelora.embedded.location import SDXL_GB, embedded_base
from spritelora.errors import SpriteLoraError, TrainingError, first_line
from spritelora.process import package_versions
from spritelora.sdxl.files.base import BaseModel, cached_hub_folder, find_base, hub_answers, load_vae
from spritelora.sdxl.latents import finite_formats, round_trip
from spritelora.sdxl.layers.quantised import probe_quantised
from spritelora.streams import say
from spritelora.training.hardware import Hardware, choose_hardware
from spritelora.training.logs.wandb_run import has_wandb_key
from spritelora.training.machine import read_device
from spritelora.training.optimizer import find_optimizer, optimizer_settings, probe_optimizer


def examine(config: TrainConfig) -> None:
    """Print one table and a verdict. Raises TrainingError where the run cannot be trained here."""
    hardware = choose_hardware(config.hardware.device, config.hardware.precision)
    base, found, problem = locate_base(config)
    config = settle_resolution(config)
    data = read_data(config)
    geometry = geometry_of(config.model.path, base)
    plan, need = run_need(config, hardware, geometry, data.sprites.largest_canvas if data.sprites else None)
    hardware = replace(hardware, base=plan.base)
    if geometry is not None and data.sprites is not None:
        step_s, run_s = time_need(config, geometry, hardware, plan, data.sprites)
        need = replace(need, step_s=step_s, run_s=run_s)
    facts = gather(config, hardware, base, found, problem, data)
    findings = find_all(facts, need)
    say(to_table(findings))
    if wrong := failures(findings):
        raise TrainingError(f"{need.name} cannot be trained here: {', '.join(wrong)} (see the table above)")
    say(f"\nthis run can be trained here: {need.name}")


def locate_base(config: TrainConfig) -> tuple[BaseModel | None, str, str]:
    """The base where it is on this machine, what to say of it, and what is wrong; nothing is fetched."""
    path = config.model.path or str(embedded_base())
    is_here = Path(path).exists()
    folder = None if is_here else cached_hub_folder(path)
    if not is_here and folder is None:
        if hub_answers(path):
            return None, f"{path}: not here yet; training fetches it from the hub ({SDXL_GB} GB)", ""
        return (
            None,
            f"{path}: neither here nor to be had from the hub",
            "model.path=FOLDER_OR_FILE of SDXL, or model=tiny",
        )
    try:
        base = find_base(str(folder or path), config.model.vae, config.model.tokenizer)
    except SpriteLoraError as error:
        return None, path, first_line(error)
    return base, "the embedded one" if config.model.path is None else f"{base.folder}", ""


def gather(
    config: TrainConfig, hardware: Hardware, base: BaseModel | None, found: str, problem: str, data: DataFacts
) -> MachineFacts:
    """The facts of this machine."""
    formats, skipped, ceiling = {}, "the base is not here", None
    if base is not None:
        vae = load_vae(base, hardware.device)
        ceiling = None if data.sprites is None else ceiling_of(data.sprites, partial(round_trip, vae))
        formats, skipped = finite_formats(vae), ""
    return MachineFacts(
        architecture=platform.machine(),
        versions={"python": platform.python_version(), **package_versions()},
        device=read_device(hardware.device),
        cuda_build=torch.version.cuda,
        probes=probe_bitsandbytes(config, hardware),
        disks=disks(config, data.num_images, is_fetched=base is None and not problem),
        data=data.words,
        data_problem=data.problem,
        base=found,
        base_problem=problem,
        wandb="an API key is set: runs are logged online" if has_wandb_key() else "no API key: runs are logged offline",
        vae=formats,
        vae_skipped=skipped,
        ceiling=ceiling,
    )


def probe_bitsandbytes(config: TrainConfig, hardware: Hardware) -> dict[str, str]:
    """A real step of each part of bitsandbytes on the device: what it says where it fails, else nothing."""
    found: dict[str, str] = {}
    for form in (BaseFormat.nf4, BaseFormat.int8):
        found[form.value] = ""
        try:
            probe_quantised(form, hardware.device, hardware.base_dtype)
        except TrainingError as error:
            found[form.value] = first_line(error)
    if config.optim._target_.startswith("bitsandbytes."):
        found["optimizer"] = ""
        try:
            settings = optimizer_settings(config.optim, hardware.precision)
            probe_optimizer(find_optimizer(config.optim), hardware.device, rate_factors(config), **settings)
        except SpriteLoraError as error:
            found["optimizer"] = first_line(error)
    return found


def disks(config: TrainConfig, num_images: int, is_fetched: bool) -> dict[str, Disk]:
    """Room in the folders that a run writes to, and how much it needs there."""
    trainer, side = config.trainer, config.model.side_px // 8
    num_saved = 1 + (trainer.max_steps // trainer.save_every if trainer.save_every else 0)
    # An adapter of the size of SDXL's rank 32 in 16 bits, with fp32 weights and two states each to resume from.
    checkpoint_gb = config.lora.rank / 32 * (0.09 + 0.19 * 3)
    latents_gb = num_images * (16 * side * side + 77 * 2048 * 4) / 1e9
    found = {
        "checkpoints": _disk(
            config.output or "outputs", num_saved * checkpoint_gb, "output= on another disk, or trainer.save_every=0"
        ),
        "the cache": _disk(config.data.cache, latents_gb, "data.cache= on another disk"),
    }
    if is_fetched:
        from huggingface_hub.constants import HF_HUB_CACHE

        found["the base"] = _disk(
            HF_HUB_CACHE, SDXL_GB, "HF_HOME=FOLDER on another disk, or model.path= of a local base"
        )
    return found


def _disk(folder: str, needed_gb: float, advice: str) -> Disk:
    place = Path(folder).resolve()
    nearest = next((p for p in (place, *place.parents) if p.exists()), None)  # None: a drive that is not there
    return Disk(folder, shutil.disk_usage(nearest).free / 1e9 if nearest else 0.0, needed_gb, advice)
