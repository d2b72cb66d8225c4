"""What to do after a validation: a sentence, and a command to copy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from spritelora.config.overrides import Overrides
from spritelora.program import typed, without_checkout

ABSOLUTE = re.compile(r"(?<=[=\[,'\"])(?:[A-Za-z]:)?(?:[\\/][^\\/,\]]+)+(?=[\\/])")
"""An absolute path within an override, but for its last part."""


class Advice(Enum):
    """What an answer calls for, in a sentence."""

    EXPORT = "Use it: this writes the LoRA and a workflow for ComfyUI."
    GENERATE = "Make finished sprites: on the pixel grid, in your colours, with a clear background."
    TRAIN_LONGER = "Train longer: twice as many steps."
    LARGER_CANVAS = "Train on a canvas twice as large: a model draws cells of 8 pixels, and yours are smaller."
    LOWER_RATE = "Train again with half the learning rate."
    STOP_EARLIER = "Take an earlier checkpoint, or train with fewer steps."
    DRAW_MORE = "Draw more pictures of each prompt."
    GIVE_PROMPTS = "Write prompts of your own into a file, one a line."
    COMPARE = "Draw with the base model too."


@dataclass(frozen=True)
class Advised:
    """Advice in words. `words`: of a command; none where there is none, as for a LoRA file whose run is unknown."""

    text: str
    words: Sequence[str] = ()

    @property
    def command(self) -> str:
        """The command to be copied."""
        return typed(*self.words) if self.words else ""

    @property
    def public(self) -> str:
        """The command as pages hold it, which others read too: folders of this machine are not told.

        The checkout's is left out, and an absolute one is three dots.
        """
        words = [ABSOLUTE.sub("...", word) for word in self.words]
        return without_checkout(typed(*words)) if words else ""


@dataclass(frozen=True)
class Origin:
    """The origin of a validated LoRA. `words`: that name it to `validate` and `generate`.

    `drawn`: that say what `validate` drew. `run`: its run's folder, None for a file alone; then the rest is unknown.
    `overrides`: that the run was started with. `side_px`: of its square canvas. `earlier`: its last checkpoint before
    the validated one.
    """

    words: Sequence[str] = ()
    run: str | None = None
    overrides: Sequence[str] = ()
    max_steps: int = 0
    lr: float = 0.0
    earlier: str | None = None
    drawn: Sequence[str] = ()
    side_px: int = 0


def advise(advice: Advice, origin: Origin, strength: float) -> Advised:
    """Advice on a LoRA that was validated at a strength, with its command."""
    again, run = ("validate", *origin.words, *origin.drawn, "overwrite=true"), origin.run
    commands: dict[Advice, tuple[str, ...]] = {
        Advice.GENERATE: ("generate", *origin.words, f"strength={strength:g}", "count=8"),
        Advice.DRAW_MORE: (*again, "images_per_prompt=4"),
        Advice.GIVE_PROMPTS: (*again, "prompts_file=prompts.txt"),
        Advice.COMPARE: (*again, "compare_base=true"),
    }
    if run is not None:
        commands |= {
            Advice.EXPORT: ("export", f"run={run}", "workflow=true"),
            Advice.TRAIN_LONGER: ("train", f"resume={run}", f"trainer.max_steps={2 * origin.max_steps}"),
            Advice.LARGER_CANVAS: (
                "train",
                *_anew(origin, "model.resolution"),
                f"model.resolution={2 * origin.side_px}",
            ),
            Advice.LOWER_RATE: ("train", *_anew(origin, "optim.lr"), f"optim.lr={origin.lr / 2:g}"),
            Advice.STOP_EARLIER: ("validate", f"run={origin.earlier}", "output=earlier")
            if origin.earlier
            else ("train", *_anew(origin, "trainer.max_steps"), f"trainer.max_steps={max(1, origin.max_steps // 2)}"),
        }
    return Advised(advice.value, commands.get(advice, ()))


def _anew(origin: Origin, key: str) -> list[str]:
    """The run's overrides but for one key and what is the run's own: its folder, and what it went on from."""
    return [o for o in Overrides(origin.overrides).without("output", "resume", key) if not o.is_hydras]
