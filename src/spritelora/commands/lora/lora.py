"""Inspects, merges and resizes LoRA files."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from spritelora.adapters.files.bad_numbers import check_numbers
from spritelora.adapters.files.bases import EMBEDDED, base_of, check_readable
from spritelora.adapters.files.changes import parts_of
from spritelora.adapters.files.formats import SAVE_DTYPE, write_form
from spritelora.adapters.files.inspect import block_sizes, describe_file
from spritelora.adapters.files.layer_names import block_of
from spritelora.adapters.files.lora_file import Form, LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.files.merge import Loss, merge_loras, merged_metadata, resize, total_loss
from spritelora.config.commands.export import LoraFormat
from spritelora.config.commands.lora import LoraFilesConfig, Mode
from spritelora.embedded.location import embedded_base
from spritelora.errors import ConfigError, WeightsError
from spritelora.files import check_free
from spritelora.sdxl.files.base import BaseModel, find_base
from spritelora.shown import counted, printable

log = logging.getLogger(__name__)


def work_on_files(config: LoraFilesConfig) -> None:
    """Do what the mode says; reports go to standard output."""
    if config.mode is Mode.inspect:
        inspect(config)
        return
    strengths = check_settings(config)
    if config.output is None:
        raise ConfigError("output is not set: name the file to write, output=merged.safetensors")
    output = name_output(config.output, config.format)
    check_free([output], config.overwrite)
    loras = [(read_lora_file(Path(p)), s) for p, s in zip(config.loras, strengths, strict=True)]
    modules = merge_loras(loras)
    if config.rank is not None:
        check_rank(config, modules)
        modules, losses = resize(modules, config.rank)
        sys.stdout.write(describe_losses(losses, config.rank, config.every_layer))
    title = output.name.removesuffix(".safetensors")
    dtype = SAVE_DTYPE[config.dtype] if config.dtype else common_dtype(loras[0][0])
    write_form(output, Form(config.format.value), modules, dtype, merged_metadata(loras, modules, title))
    ranks = sorted({change.rank for change in modules.values()})
    told = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"
    log.info("%s: %s, %s, %s form", output, counted(len(modules), "layer"), told, config.format.value)


def inspect(config: LoraFilesConfig) -> None:
    """Write the reports on all files. Raises WeightsError for those that cannot be read, or that no program can use."""
    model = find_base(config.base) if config.base is not None else None
    problems: list[str] = []
    for path in config.loras:
        try:
            lora = read_lora_file(Path(path).expanduser())
            if not lora.everything:
                check_readable(lora)
            sys.stdout.write(report_on(lora, model, config.every_layer))
            check_numbers(lora)
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError("\n  ".join(problems))


def report_on(lora: LoraFile, model: BaseModel | None, every_layer: bool) -> str:
    """The report on one file. `model`: the base that sizes are relative to, None where it is not known."""
    if model is None and base_of(lora) == EMBEDDED.name:
        model = find_base(str(embedded_base()))
    norms, against = _no_norm, "weights of usual size (base=FOLDER compares with the base model's own)"
    if model is not None:
        norms, against = weight_norms(model), f"the weights of {model.folder.name}"
    report = describe_file(lora, block_sizes(lora, norms), against)
    if every_layer:
        layers = block_sizes(lora, norms, group=lambda name: name)[:-1]
        report += "\n" + "".join(f"  {layer.relative:<12.3g}{printable(layer.block)}\n" for layer in layers)
    return report


def check_settings(config: LoraFilesConfig) -> list[float]:
    """The strength of each file. Raises ConfigError where settings of the mode are missing or do not fit together."""
    strengths = config.lora_strengths or [1.0] * len(config.loras)
    if len(strengths) != len(config.loras):
        raise ConfigError(
            f"lora_strengths has {len(strengths)} numbers for {len(config.loras)} files; give one for each"
        )
    if 0 in strengths:
        raise ConfigError("lora_strengths: 0 leaves nothing of that file; leave the file out")
    if config.mode is Mode.resize and config.rank is None:
        raise ConfigError("mode=resize needs the rank to reach: rank=16")
    if config.mode is Mode.resize and (len(config.loras) > 1 or config.lora_strengths):
        raise ConfigError("mode=resize takes one file and no lora_strengths; mode=merge rank=... adds up and resizes")
    return strengths


def check_rank(config: LoraFilesConfig, modules: Mapping[str, LowRank]) -> None:
    """Raise ConfigError for a rank that is larger than what there is."""
    largest = max(change.rank for change in modules.values())
    if config.rank is not None and config.rank > largest:
        raise ConfigError(f"rank={config.rank}: the largest rank here is {largest}; a higher one would add nothing")


def name_output(output: str, form: LoraFormat) -> Path:
    """The file or folder to write. Raises ConfigError for a file name that no program would look for."""
    path = Path(output)
    if path.suffix != ".safetensors" and form is not LoraFormat.peft:
        raise ConfigError(f"output={output}: the name of a LoRA file ends in .safetensors")
    return path


def common_dtype(lora: LoraFile) -> torch.dtype:
    """The number format that most of a file is in."""
    (dtype, _), *_ = Counter(
        next(iter(parts_of(change).values())).dtype for change in lora.everything.values()
    ).most_common(1)
    return dtype if dtype in SAVE_DTYPE.values() else torch.float32


def describe_losses(losses: Mapping[str, Loss], rank: int, every_layer: bool) -> str:
    """The loss by truncation, in all, by block, and of the worst or of all layers."""
    blocks: dict[str, dict[str, Loss]] = {}
    for name, loss in sorted(losses.items()):
        blocks.setdefault(block_of(name), {})[name] = loss
    lines = [f"rank {rank} loses {total_loss(losses).share:.3%} of the change; by block:"]
    lines += [
        f"  {block:<22}{len(inside):>5} layers   {total_loss(inside).share:.3%}" for block, inside in blocks.items()
    ]
    worst = sorted(losses, key=lambda name: -losses[name].share)
    shown = worst if every_layer else worst[:5]
    lines += ["layers that lose most:", *(f"  {losses[name].share:<10.3%}{name}" for name in shown)]
    return "".join(f"{printable(line)}\n" for line in lines)


def weight_norms(base: BaseModel) -> Callable[[str], float | None]:
    """A function from a module to the norm of its weight in a base model; weights are read when asked for."""
    tensors = {part: base.part(part).tensors() for part in ("unet", "text_encoder", "text_encoder_2")}

    def norm(module: str) -> float | None:
        part, _, path = module.partition(".")
        weight = tensors.get(part, {}).get(f"{path}.weight")
        return None if weight is None else float(weight.float().norm())

    return norm


def _no_norm(_module: str) -> None:
    return None
