"""Writes a run's LoRA for other programs, and a ComfyUI workflow that uses it."""

import json
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from spritelora.adapters.files.bases import is_of_embedded, require_sdxl
from spritelora.adapters.files.changes import Change, Decomposed, Lycoris
from spritelora.adapters.files.formats import SAVE_DTYPE, write_form
from spritelora.adapters.files.lora_file import ADAPTER_METADATA, Form, LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.files.metadata import shared_tags, thumbnail_url
from spritelora.adapters.files.workflow import Drawing, api_form, build_nodes, ui_form
from spritelora.commands.export.other_programs import (
    CHOOSE,
    problems_elsewhere,
    timestep_spacing,
)
from spritelora.commands.lora.lora import check_free, common_dtype, name_output
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.drawing.source import find_checkpoint
from spritelora.drawing.subject import sample_sizes
from spritelora.errors import ConfigError, WeightsError
from spritelora.evaluation.validation_record import best_strength_of
from spritelora.file_names import safe_name
from spritelora.files import write_whole
from spritelora.runs.layout import LORA_FILE, STATE_FOLDER, is_run
from spritelora.runs.record import RunRecord
from spritelora.training.state_files import TENSORS
from spritelora.weight_files.container import PICKLES, open_tensors

log = logging.getLogger(__name__)

USUAL_STRENGTH, USUAL_FACTOR = 0.8, 8
FILES_OF_REPOSITORIES = {"stabilityai/stable-diffusion-xl-base-1.0": "sd_xl_base_1.0.safetensors"}
"""The single file that is the model of a hub repository, as people have it for ComfyUI."""


def export(config: ExportConfig) -> None:
    """Write the file, after the proof that it reads back as the run's weights; then the workflow, if asked for."""
    source = Path(config.run)
    checkpoint = find_checkpoint(source)
    run_dir = source if is_run(source) else source.parent
    lora = read_lora_file(checkpoint / LORA_FILE)
    require_sdxl(lora)
    title = config.title or lora.title
    output = settle_output(config, run_dir, title)
    workflows = {
        form: output.with_name(f"{output.name.removesuffix('.safetensors')}.{form}.json")
        for form in ("workflow", "api")
    }
    check_free([output, *(workflows.values() if config.workflow else ())], config.overwrite)
    trigger = shared_tags(lora.metadata) if config.trigger is None else config.trigger
    metadata = {
        **{name: value for name, value in lora.metadata.items() if name not in (ADAPTER_METADATA, "format")},
        "ss_output_name": title,
        "modelspec.title": title,
        **({"modelspec.trigger_phrase": trigger} if trigger else {}),
        **({"modelspec.thumbnail": url} if (url := thumbnail(config.thumbnail, run_dir)) else {}),
    }
    others = read_others(config.loras) if config.workflow else {}
    drawing = (
        plan_drawing(config, lora, RunRecord.read(checkpoint), run_dir, output, trigger) if config.workflow else None
    )
    dtype = SAVE_DTYPE[config.dtype] if config.dtype else common_dtype(lora)
    write_form(output, Form(config.format.value), unrounded(lora, checkpoint, config.format), dtype, metadata)
    log.info("%s: %s form of %s, %s", output, config.format.value, checkpoint, str(dtype).removeprefix("torch."))
    for problem in problems_elsewhere(config, lora, others, drawing and drawing.checkpoint):
        log.warning("%s", problem)
    if drawing is not None:
        nodes = build_nodes(drawing)
        for form, content in (("workflow", ui_form(nodes)), ("api", api_form(nodes))):
            write_whole(workflows[form], json.dumps(content, indent=2) + "\n")
        use = "it shows the form of a workflow" if is_of_embedded(lora) else "drag it into ComfyUI's window"
        log.info("%s: %s; LoRA files belong in models/loras", workflows["workflow"], use)


def read_others(names: list[str]) -> dict[Path, LoraFile]:
    """The further LoRA files of a workflow, of those that are on this machine. Raises WeightsError for other files."""
    others = {file: read_lora_file(file) for file in (Path(name).expanduser() for name in names) if file.exists()}
    for lora in others.values():
        require_sdxl(lora)
    return others


def settle_output(config: ExportConfig, run_dir: Path, title: str) -> Path:
    """Where to write: as asked, or in the run's folder under the LoRA's name."""
    if config.output is not None:
        return name_output(config.output, config.format)
    end = {LoraFormat.kohya: ".safetensors", LoraFormat.diffusers: "_diffusers.safetensors", LoraFormat.peft: "_peft"}
    return run_dir / "export" / f"{safe_name(title)}{end[config.format]}"


def unrounded(lora: LoraFile, checkpoint: Path, form: LoraFormat) -> dict[str, Change]:
    """The numbers as they were trained, from the training state beside the file; the file's where it is gone.

    So that dtype=fp32 gives more than the file's own 16 bits. Lengths of a DoRA are fp32 in the file too, and are taken
    as trained where the form wants those.
    """
    state = checkpoint / STATE_FOLDER / TENSORS
    if not state.is_file():
        return lora.everything
    modules: dict[str, Change] = {}
    try:
        with open_tensors(state) as opened:

            def trained(name: str, part: str) -> Tensor:
                return opened.get_tensor(f"/state_dict/{name}.{part}")

            for name, change in lora.everything.items():
                modules[name] = _with_tensors(change, lambda part, name=name: trained(name, part), form)
    except SafetensorError as error:
        raise WeightsError(
            f"{state}: does not hold the weights of {LORA_FILE} ({error}); use another checkpoint"
        ) from error
    return modules


def _with_tensors(change: Change, trained: Callable[[str], Tensor], form: LoraFormat) -> Change:
    """A change with its tensors as PEFT calls them in a training state."""
    if isinstance(change, Lycoris):
        return replace(change, tensors={end: trained(f"{end}.default") for end in change.tensors})
    if isinstance(change, LowRank):
        return replace(change, down=trained("lora_A.default.weight"), up=trained("lora_B.default.weight"))
    low = _with_tensors(change.change, trained, form)
    assert isinstance(low, LowRank)
    if form is not LoraFormat.peft:
        return replace(change, change=low)
    return Decomposed(low, trained("lora_magnitude_vector.default.weight").flatten(), of_changed=True)


def thumbnail(asked: str | None, run_dir: Path) -> str | None:
    """The data URL of the picture asked for, else of the run's last sample; None where there is none."""
    if asked == "none":
        return None
    samples = sorted(run_dir.glob("samples/step_*/*.png"), key=lambda f: (f.parent.name, -int(f.name[:2])))
    file = Path(asked) if asked else next(reversed(samples), None)
    if file is None:
        return None
    try:
        with Image.open(file) as picture:
            return thumbnail_url(picture)
    except OSError as error:
        raise ConfigError(f"thumbnail={file}: not a picture that can be read ({error}); give a PNG file") from error


def plan_drawing(
    config: ExportConfig, lora: LoraFile, record: RunRecord, run_dir: Path, output: Path, trigger: str
) -> Drawing:
    """The settings of the workflow's drawing: those of the run's samples, with its base and all the LoRAs.

    Raises ConfigError where settings do not fit together.
    """
    sampler, size = record.settings.sampler, sample_sizes(record.settings, record.data.canvases)[0]
    strengths = config.lora_strengths or [USUAL_STRENGTH] * len(config.loras)
    if len(strengths) != len(config.loras):
        raise ConfigError(
            f"lora_strengths has {len(strengths)} numbers for {len(config.loras)} loras; give one for each"
        )
    factor = config.factor or trained_factor(record, math.gcd(*size))
    if math.gcd(*size) % factor:
        sides = " and ".join(map(str, dict.fromkeys(size)))
        raise ConfigError(f"factor={factor} does not divide the {sides} pixels of a side; 8 and 16 do")
    prompt = config.prompt or next(iter(sampler.prompts), None)
    if prompt is None:
        raise ConfigError("prompt is not set, and the run drew no samples whose prompt could be taken; type prompt=...")
    missing = [word for word in trigger.split(", ") if word and word not in prompt]
    strength = config.strength or best_strength_of(run_dir) or USUAL_STRENGTH
    others = [(Path(name).name, s) for name, s in zip(config.loras, strengths, strict=True)]
    return Drawing(
        checkpoint=config.checkpoint or checkpoint_of(lora, record),
        loras=[(output.name, strength), *others],
        prompt=", ".join([*missing, prompt]),
        negative_prompt=sampler.negative_prompt,
        size=size,
        factor=factor,
        seed=sampler.seed,
        steps=sampler.steps,
        guidance=sampler.guidance,
        spacing=timestep_spacing(Path(record.model.folder)),
        prefix=output.name.removesuffix(".safetensors"),
    )


def trained_factor(record: RunRecord, side_px: int) -> int:
    """The factor of a run's sprites where they share one that divides `side_px`; older records do not say."""
    factor = record.data.factor
    return factor if isinstance(factor, int) and side_px % factor == 0 else USUAL_FACTOR


def checkpoint_of(lora: LoraFile, record: RunRecord) -> str:
    """The name of the single file that a run's base is; for a diffusers folder, words that say what to choose."""
    base = lora.metadata.get("ss_sd_model_name") or Path(record.model.folder).name
    is_file = base.endswith((".safetensors", *PICKLES))
    return FILES_OF_REPOSITORIES.get(base) or (base if is_file else f"{CHOOSE}{base}")
