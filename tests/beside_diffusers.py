"""The LoRAs of tests.four_styles beside those that diffusers' own script makes of the same sets in as many steps:

    python -m tests.beside_diffusers WORK PYTHON SCRIPT

WORK is the folder that `tests.four_styles` wrote its styles to. PYTHON is that of an environment with datasets,
torchvision and tensorboard besides what spritelora needs, SCRIPT diffusers' `train_text_to_image_lora_sdxl.py`. The
script runs at its defaults but for the canvas that the base knows and the batch; the art goes in as it is, laid on the
run's background, for the script knows no transparency. Prints, for each style, the comparison of both on new prompts.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from spritelora.embedded.location import embedded_base
from spritelora.evaluation.comparison import Row, against
from spritelora.runs.layout import VALIDATION
from spritelora.runs.record import RunRecord
from spritelora.sprites.pixels.image import LATENT_PX, apply_matte, parse_colour, read_sprite
from spritelora.sweeps.rows import find_entries, read_row
from tests.four_styles import STRENGTHS, STYLES, validate_style


def lay_out(art: Path, folder: Path, background: tuple[int, int, int]) -> None:
    """Write a style's art as the script reads it: opaque images, and their captions in one file."""
    folder.mkdir(exist_ok=True)
    lines: list[str] = []
    for file in sorted(art.glob("*.png")):
        Image.fromarray(apply_matte(read_sprite(file), background)).save(folder / file.name)
        caption = file.with_suffix(".txt").read_text("utf-8").strip()
        lines.append(json.dumps({"file_name": file.name, "text": caption}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines), "utf-8")


def train_theirs(style: Path, python: str, script: str, resolution_px: int) -> Path:
    """Train with the script as long as the run of `style` did, where that was not done. Returns its LoRA file."""
    record = RunRecord.read(style / "run")
    theirs = style / "diffusers"
    lora = theirs / "pytorch_lora_weights.safetensors"
    if not lora.is_file():
        lay_out(style / "art", style / "flat", parse_colour(record.data.matte))
        settings = {
            "pretrained_model_name_or_path": embedded_base(),
            "train_data_dir": style / "flat",
            "caption_column": "text",
            "resolution": resolution_px,
            "max_train_steps": record.settings.trainer.max_steps,
            "train_batch_size": record.settings.trainer.batch_size,
            "output_dir": theirs,
            "cache_dir": style / "flat_cache",
            "seed": 0,
        }
        subprocess.run([python, script, *(f"--{name}={value}" for name, value in settings.items())], check=True)
    return lora


def on_new_prompts(row: Row, folder: Path) -> Row:
    """A row without the images of training captions."""
    prompts = json.loads((folder / VALIDATION).read_text("utf-8"))["prompts"]
    is_new = np.array([not prompt["seen"] for prompt in prompts])
    assert row.colours is not None
    profiles, target = row.colours
    values = {name: each[is_new] for name, each in row.values.items()}
    return dataclasses.replace(row, values=values, colours=(profiles[is_new], target))


def main(work: Path, python: str, script: str) -> None:
    """Print each style's comparisons: theirs first, ours second."""
    for name, (_, canvas) in STYLES.items():
        style = work / name
        lora = train_theirs(style, python, script, canvas.width * LATENT_PX)
        validate_style(style, lora.parent / "validation", STRENGTHS[-1], f"loras=[{lora}]")
        rows: list[Row] = []
        for place in (lora, style / "run"):
            folder = lora.parent / "validation" if place == lora else style / f"strength_{STRENGTHS[-1]}"
            rows.append(on_new_prompts(read_row(find_entries([str(place)], [])[0], folder), folder))
        found = {metric: dataclasses.asdict(comparison) for metric, comparison in against(*rows).items()}
        sys.stdout.write(json.dumps({name: found}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
