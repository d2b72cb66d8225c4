"""What LoRAs of four styles are worth on subjects that their sets have not:

    python -m tests.four_styles DATA WORK [STEPS]

DATA is the folder of the real sprites. WORK is `make_base`'s work folder with its judge; the runs are written there.
Prints, for each style, the validation's comparison of the LoRA with the base on the new prompts alone, and how many
words of those prompts a judge of real sprites finds in what each draws.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spritelora.commands.make_base.figures_of_base import choose_records, labels_of_all, pictures
from spritelora.commands.make_base.measuring import judge_plan
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.drawn import draw_demo_set
from spritelora.embedded.making.real_judge import RealJudge, count_right, judge_sprites, thresholds, train_real_judge
from spritelora.embedded.making.sheets import shrink, write_sheet
from spritelora.embedded.real.canvases import SMALL, TILE, Canvas
from spritelora.embedded.real.lessons import Lessons
from spritelora.embedded.real.packs import read_packed
from spritelora.evaluation.colours import nearest_colours
from spritelora.runs.layout import VALIDATION
from tests.conftest import ROOT

PICO_8 = bytes.fromhex(
    "0000001d2b537e2553008751ab52365f574fc2c3c7fff1e8ff004dffa300ffec2700e43629adff83769cff77a8ffccaa"
)
"""The 16 colours of the fantasy console. Source: lexaloffle.com/dl/docs/pico-8_manual.html."""

NUM_PROMPTS, STRENGTHS = 32, (0.7, 1.0)

SETTINGS = ("optim.lr=1e-3", 'data.matte="#ffffff"', "logger=csv")
"""A quarter of the base's rate, which keeps more of subjects that a set has not, and the ground that the base knows."""

Sprite = tuple[NDArray[np.uint8], str]


def greens(_: Path) -> Iterator[Sprite]:
    """The demo set, which code draws."""
    for image, caption in draw_demo_set():
        yield np.asarray(image.convert("RGBA")), caption


def things(data: Path) -> Iterator[Sprite]:
    """The things of an artist whom the base has never seen."""
    for line in (data / "cc0_trial" / "metadata.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["file_name"].startswith("things/"):
            yield np.asarray(Image.open(data / "cc0_trial" / row["file_name"]).convert("RGBA")), row["text"]


def dcss(folder: Path) -> Iterator[Sprite]:
    """Tiles of 32 px, with the names in their captions."""
    for file in sorted(folder.glob("*.png")):
        name = file.with_suffix(".txt").read_text("utf-8").split(", ")[1]
        yield np.asarray(Image.open(file).convert("RGBA")), f"pixel art, {name}"


def items_of_16_colours(data: Path) -> Iterator[Sprite]:
    """Items in the console's colours, each the nearest."""
    palette = np.frombuffer(PICO_8, np.uint8).reshape(-1, 3)
    for sprite, caption in dcss(data / "dcss" / "items"):
        nearest, _ = nearest_colours(sprite[..., :3].reshape(-1, 3), palette)
        yield np.dstack([palette[nearest].reshape(*sprite.shape[:2], 3), sprite[..., 3]]), caption


def monsters_of_one_bit(data: Path) -> Iterator[Sprite]:
    """Monsters in black and white: light where a pixel is lighter than the sprite's median."""
    for sprite, caption in dcss(data / "dcss" / "monsters"):
        light = sprite[..., :3].astype(float).mean(-1)
        limit = np.median(light[sprite[..., 3] > 127])
        yield np.dstack([*[np.where(light > limit, 255, 0).astype(np.uint8)] * 3, sprite[..., 3]]), caption


STYLES = {
    "greens": (greens, SMALL),
    "things": (things, SMALL),
    "items_of_16_colours": (items_of_16_colours, TILE),
    "monsters_of_one_bit": (monsters_of_one_bit, TILE),
}


def type_command(*words: str) -> None:
    """Run one command of the checkout."""
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def validate_style(style: Path, output: Path, strength: float, *words: str) -> None:
    """Validate the run of a style on the new prompts, where that was not done; `words`: more of the command line."""
    if not output.is_dir():
        shown = (f"prompts_file={style / 'prompts.txt'}", f"num_prompts={NUM_PROMPTS}", f"strengths=[{strength}]")
        type_command("scripts/validate.py", f"run={style / 'run'}", f"output={output}", *shown, *words)


def prompts_for(lessons: Lessons, canvas: Canvas, captions: set[str]) -> dict[int, str]:
    """Prompts of subjects that the base knows and a set has not, by the number of their record."""
    own = {word for caption in captions for word in caption.replace(",", " ").split()}
    prompts: dict[int, str] = {}
    for number in choose_records(lessons, canvas, False, 10_000):
        record = lessons.packed.records[number]
        if own.isdisjoint(record.name.split()) and not record.is_opaque:
            prompts.setdefault(number, f"pixel art, {record.name}")
    return dict(list(prompts.items())[:NUM_PROMPTS])


def found_words(judge: RealJudge, lessons: Lessons, numbers: list[int], canvas: Canvas, drawn: NDArray) -> list[int]:
    """How many of the judge's words for these records it finds in what was drawn, and how many there are."""
    known = choose_records(lessons, canvas, True, 10_000)
    logits, _ = judge_sprites(judge, pictures(lessons, known, canvas))
    limits = thresholds(logits, labels_of_all(judge, lessons, known))
    logits, _ = judge_sprites(judge, list(drawn))
    return [*count_right(logits, labels_of_all(judge, lessons, numbers), limits, judge.words)]


def style_figures(name: str, data: Path, work: Path, steps: int, lessons: Lessons, judge: RealJudge) -> dict[str, Any]:
    """Prepare a style's set, train on it, validate on new prompts, and judge what is drawn."""
    sprites_of, canvas = STYLES[name]
    art, ready, run = (work / name / part for part in ("art", "ready", "run"))
    captions: set[str] = set()
    if not art.is_dir():
        art.mkdir(parents=True)
    for number, (sprite, caption) in enumerate(sprites_of(data)):
        captions.add(caption)
        Image.fromarray(sprite).save(art / f"{number:03d}.png")
        (art / f"{number:03d}.txt").write_text(caption, "utf-8")
    prompts = prompts_for(lessons, canvas, captions)
    (work / name / "prompts.txt").write_text("\n".join(prompts.values()) + "\n", "utf-8")
    if not ready.is_dir():
        type_command("scripts/prepare.py", f"input={art}", f"output={ready}")
    if not (run / "checkpoint_final").is_dir():
        type_command("train.py", f"data.path={ready}", f"output={run}", f"trainer.max_steps={steps}", *SETTINGS)
    figures: dict[str, Any] = {}
    for strength in STRENGTHS:
        folder = work / name / f"strength_{strength}"
        validate_style(work / name, folder, strength)
        record = json.loads((folder / VALIDATION).read_text("utf-8"))
        figures[f"against_base_at_{strength}"] = record["groups"]["new_prompts"]
        for who, shares in record["shares"].items():
            files = sorted((folder / "images" / who).glob("*.png"))[-len(prompts) :]
            drawn = shrink(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]))
            write_sheet(drawn[:24], list(prompts.values())[:24], work / name / f"{who}.png")
            found = found_words(judge, lessons, list(prompts), canvas, drawn)
            figures[who] = {"words": found, "copies": shares["copies_of_new_prompts"]}
    return figures


def main(data: Path, work: Path, steps: int) -> None:
    """Print the figures of all styles."""
    lessons = Lessons(read_packed(work / "sprites.safetensors", data))
    plan = judge_plan(MakeBaseConfig().judge_steps)
    judge = train_real_judge(lessons, plan, 64, 0, work / "real_judge_state.safetensors")
    for name in STYLES:
        figures = style_figures(name, data, work / "styles", steps, lessons, judge)
        sys.stdout.write(json.dumps({name: figures}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 400)
