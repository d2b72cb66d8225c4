"""What the guide tells people to type is typed here, from its first line to its last, in one folder.

Commands run for real on the embedded base, made quick by the overrides of `QUICK_OF`. Where one needs SDXL's weights it
passes the door as it stands, and a copy of the guide's first run takes the place of what it would write.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.composing import compose
from tests.conftest import QUICK, ROOT
from tests.documents import Command, Outcome, commands_of, run_in, run_shell

GUIDE = ROOT / "docs" / "guide.md"
COMMANDS = commands_of(GUIDE)

QUICK_OF = {
    "train.py": (
        *(o for o in QUICK if not o.startswith("data.limit")),
        *("trainer.max_steps=2", "trainer.save_every=1", "data.holdout=0.2"),
    ),
    "scripts/validate.py": ("strengths=[1]", "num_prompts=2", "images_per_prompt=1", "sampler.steps=2"),
    "scripts/generate.py": ("count=1", "sampler.steps=2"),
}
KEPT_AS_TYPED = ("logger",)
NEEDS_SDXL = ("preset=", "model=sdxl")
CANNOT_RUN_HERE = frozenset({"mode=edit", "mode=caption"})
"""They wait for a person, or need a captioner's weights."""
FIRST_RUN = "outputs/first"
QUICK_SHELL = {"tensorboard": " --inspect"}


def draw_art(folder: Path, every: int) -> None:
    """Greens on disk as artists have them: enlarged by 4, named for what they show, without captions."""
    from PIL import Image

    from spritelora.embedded.drawn import draw_demo_set

    folder.mkdir(parents=True)
    for image, caption in draw_demo_set()[::every]:
        name = caption.removeprefix("pixel art, ").replace(" ", "_")
        image.resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[Command, Outcome]:
    """How each command ended, typed one after the other."""
    folder = tmp_path_factory.mktemp("reader")
    draw_art(folder / "my_art", 8)
    for name in ("style", "characters", "environment", "items"):
        draw_art(folder / "datasets" / name, 9)
        for image in (folder / "datasets" / name).glob("*.png"):
            image.with_suffix(".txt").write_text(f"pixel art, {image.stem.replace('_', ' ')}, 8-bit style\n")
    for place in ("ComfyUI/models/loras", "stable-diffusion-webui/models/Lora"):
        (folder / place).mkdir(parents=True)
    return {command: follow(folder, command, cache) for command in COMMANDS}


def follow(folder: Path, command: Command, cache: Path) -> Outcome:
    """Type one command as the guide's reader does, in less time."""
    words = command.words
    if not command.is_ours:
        return run_shell(folder, command.text + QUICK_SHELL.get(words[0], ""))
    if "--cfg" in words or not CANNOT_RUN_HERE.isdisjoint(words):
        return run_in(folder, up_to_the_door(words))
    if any(w.startswith(NEEDS_SDXL) for w in words):
        outcome = run_in(folder, up_to_the_door(words))
        (output,) = (folder / w.removeprefix("output=") for w in words if w.startswith("output="))
        for run in [output / "0", output / "1"] if "-m" in words else [output]:
            shutil.copytree(folder / FIRST_RUN, run, ignore=shutil.ignore_patterns("validation", "export"))
        return outcome
    outcome = run_in(folder, made_quick(words, cache))
    if (half_way := folder / FIRST_RUN / "checkpoint_step_1").is_dir():
        half_way.rename(half_way.with_name("checkpoint_step_500"))
    return outcome


def up_to_the_door(words: list[str]) -> list[str]:
    """The command line that shows a command's settings instead of running it; of a sweep, those of its first job."""
    first = [w.partition(",")[0] if "-m" in words and not w.startswith("data.") else w for w in words if w != "-m"]
    return first if "--cfg" in words else [*first, "--cfg", "job"]


def made_quick(words: list[str], cache: Path) -> list[str]:
    """A command line with the quick settings of its script instead of those typed."""
    names = {w.partition("=")[0] for w in words}
    quick = [o for o in QUICK_OF.get(words[1], ()) if o.partition("=")[0] not in names.intersection(KEPT_AS_TYPED)]
    if "resume" in names:
        quick = ["trainer.max_steps=3"]
    elif words[1] in ("train.py", "scripts/generate.py") or (words[1] == "scripts/validate.py" and "loras" in names):
        quick.append(f"data.cache={cache}")
    replaced = {o.partition("=")[0] for o in quick}
    return [*(w for w in words if w.partition("=")[0] not in replaced), *quick]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: f"line {c.line}")
def test_the_command_does_what_the_guide_says(command: Command, story: dict[Command, Outcome]) -> None:
    outcome = story[command]
    assert outcome.status == 0, f"guide.md:{command.line}: {command.text}\n{outcome.printed[-2000:]}"


def rows_of(head: str) -> list[list[str]]:
    """The cells of the table that begins with these heads."""
    lines = GUIDE.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(head)) + 2
    ends = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:ends]]


@pytest.mark.parametrize("row", rows_of("| | caption"), ids=lambda row: row[1][:40])
def test_captions_are_judged_as_the_guide_says(row: list[str]) -> None:
    from spritelora.captioning.tokens import TokenCounter
    from spritelora.embedded.location import embedded_base
    from spritelora.sprites.checks.caption_lint import lint_captions

    counter = TokenCounter(embedded_base(), "embedded")
    found = lint_captions({"sprite": row[1].strip("`")}, counter.count, counter.cut)
    assert {f.kind for f in found} == set(re.findall(r"`(\w+)`", row[2]))
    assert (row[0] == "good") == (not found)


@pytest.mark.parametrize("row", rows_of("| key "), ids=lambda row: row[0])
def test_parameters_have_the_ranges_and_defaults_of_the_table(row: list[str]) -> None:
    key = row[0].strip("`")
    low, high = row[1].split(" to ")
    more = ["weighting=min_snr"] if key.startswith("weighting.") else []
    for value in (low, high):
        compose("model=sdxl", *more, f"{key}={value}")
    default = compose("model=sdxl", *more)
    if key == "lora.alpha":
        assert default.lora.alpha is None
        assert default.lora.settled_alpha == default.lora.rank
        return
    for name in key.split("."):
        default = default[name] if isinstance(default, dict) else getattr(default, name)
    assert float(default) == float(row[2])


@pytest.mark.parametrize("row", rows_of("| preset "), ids=lambda row: row[0])
def test_presets_are_what_the_table_says(row: list[str]) -> None:
    config = compose(row[0].strip("`"))
    a_step = config.trainer.batch_size * config.trainer.accumulate
    told = [config.lora.rank, config.trainer.max_steps, config.optim.lr, a_step]
    assert told == [float(cell) for cell in row[1:5]]


UNET_TFLOP, CHECKPOINTED_TFLOP = 15.12, 15.12 * 1.36
"""Of one image at 1024 px: forward and backward, and with all blocks computed again as far as their gradients ask."""


@pytest.mark.parametrize("row", rows_of("| preset | images"), ids=lambda row: row[0])
def test_floors_are_counted_right(row: list[str]) -> None:
    trainer = compose(row[0].strip("`")).trainer
    images = trainer.max_steps * trainer.batch_size * trainer.accumulate
    assert f"{images:,}" == row[1]
    for cell, work in zip(row[2:], (CHECKPOINTED_TFLOP, UNET_TFLOP), strict=True):
        minutes = [images * work / rate / 60 for rate in (125, 92)]
        assert cell.removesuffix(" min") == " to ".join(f"{m:.0f}" for m in minutes)
