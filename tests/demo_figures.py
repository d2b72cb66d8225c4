"""What the demo's LoRA is worth:  python -m tests.demo_figures RUN [GUIDANCE]

Draws every subject in three colours with the base and with the LoRA, through plain diffusers, and prints how far the
palette lies from the demo set's and how many subjects a judge recognises that was trained on both styles.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spritelora.embedded.drawn import draw_demo_set, sample_spec
from spritelora.embedded.drawn.demo import paint_greens
from spritelora.embedded.drawn.drawn_sprite import draw_cells
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.location import embedded_base
from spritelora.embedded.making.base_loop import StepPlan
from spritelora.embedded.making.judge import draw_labelled, judge_sprites, train_judge
from spritelora.embedded.making.sheets import shrink
from spritelora.embedded.model.tiny_sample import draw_images, load_pipeline
from spritelora.evaluation.colours import palette_distance, palette_of

JUDGE_PLAN = StepPlan(1500, learning_rate=2e-3, warmup_steps=50, decay_share=0.7, weight_decay=1e-3, average_decay=0.99)


def draw_both_styles(num_sprites: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Tensor, Tensor]:
    """Half as the base draws, half in the demo's greens."""
    pixels, subjects, colours = draw_labelled(num_sprites, rng)
    for i in range(0, num_sprites, 2):
        spec = sample_spec(rng)
        pixels[i] = paint_greens(draw_cells(spec, rng), spec.colour)
        subjects[i], colours[i] = list(SUBJECTS).index(spec.subject), list(COLOURS).index(spec.colour)
    return pixels, subjects, colours


def demo_figures(lora_file: Path, judge_state: Path, guidance: float, num_seeds: int = 3) -> dict[str, Any]:
    """Figures of base and LoRA on the demo's own captions."""
    judge = train_judge(JUDGE_PLAN, 128, 0, judge_state, draw_both_styles)
    pairs = draw_demo_set()
    palette = palette_of([np.asarray(image) for image, _ in pairs])
    prompts = [caption for _, caption in pairs for _ in range(num_seeds)]
    subjects = [p.split()[-1] for p in prompts]
    colours = [p.split()[-2] for p in prompts]
    real = np.stack([np.asarray(image) for image, _ in pairs])
    on_real, _ = judge_sprites(judge, real, subjects[::num_seeds], colours[::num_seeds])
    pipeline = load_pipeline(embedded_base(), torch.device("cpu"))
    figures: dict[str, Any] = {"judge_on_demo_set": float(on_real.mean()), "num_images": len(prompts)}
    for name in ("base", "lora"):
        if name == "lora":
            pipeline.load_lora_weights(lora_file.parent, weight_name=lora_file.name)
        images = draw_images(pipeline, prompts, range(len(prompts)), 20, guidance)
        right, _ = judge_sprites(judge, shrink(images), subjects, colours)
        figures[f"{name}_palette_distance"] = palette_distance(images, palette)
        figures[f"{name}_subject"] = float(right.mean())
        wrong = [s for s, r in zip(subjects, right, strict=True) if not r]
        figures[f"{name}_wrong"] = {s: wrong.count(s) for s in sorted(set(wrong))}
    figures["palette_ratio"] = figures["lora_palette_distance"] / figures["base_palette_distance"]
    return figures


if __name__ == "__main__":
    run, guidance = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    file = run / "checkpoint_final" / "lora.safetensors"
    sys.stdout.write(json.dumps(demo_figures(file, Path("/tmp/demo_judge.safetensors"), guidance), indent=1) + "\n")
