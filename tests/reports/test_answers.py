"""The four questions: answered from images whose answers are known, each with what to do now."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from spritelora.evaluation.colour_distance import ColourTarget, profiles_of
from spritelora.evaluation.grid import Grid
from spritelora.evaluation.measure import OF_CELLS
from spritelora.evaluation.registry import METRICS, Direction
from spritelora.evaluation.statistics import Comparison, Outcome
from spritelora.evaluation.validation import Validation, against_base, measure_set, missing, usable
from spritelora.evaluation.validation_record import make_record
from spritelora.program import CHECKOUT
from spritelora.reports.advice import Advice, Origin, advise
from spritelora.reports.answers import Tone, Verdict, _better, answer_questions
from spritelora.sprites.pixels.image import scale_nearest
from tests.documents import keys_of
from tests.evaluation.test_validation import (
    BASE,
    NUM,
    REFERENCE,
    TARGET,
    TRAINING,
    UNSEEN,
    colourful,
    drawn,
    noise,
    shifted,
    validation,
    without_grid,
)

pytestmark = pytest.mark.numeric

OF_RUN = Origin(("run=outputs/a",), "outputs/a", ("optim.lr=1e-3", "data.path=art", "output=outputs/a"), 300, 1e-3)
OF_FILE = Origin(("loras=[a b.safetensors]", "data.path=art"))


def verdicts(found: Validation) -> list[Verdict]:
    return [answer.verdict for answer in answer_questions(found, OF_RUN)]


def test_identical_images_are_no_better() -> None:
    same = verdicts(validation(BASE, s5=drawn(colourful(2 * NUM)), s10=drawn(colourful(2 * NUM))))
    assert (same[2].tone, same[2].advice) == (Tone.MIXED, Advice.TRAIN_LONGER)


def test_a_lora_that_learned_the_style_without_copies_is_said_to_have() -> None:
    style, clean, better, new = verdicts(validation(BASE, s10=drawn(UNSEEN[: 2 * NUM])))
    assert (style.tone, style.advice) == (Tone.GOOD, Advice.EXPORT)
    assert "closer to your sprites" in style.answer
    assert clean.tone is Tone.GOOD
    assert "16 of 16" in clean.answer
    assert better.tone in (Tone.GOOD, Tone.MIXED)
    assert "colour distance" in better.numbers
    assert (new.tone, new.advice) == (Tone.GOOD, Advice.GENERATE)
    assert "no picture is a copy" in new.answer


def test_one_metric_of_many_is_called_chance() -> None:
    metrics = [m for m in METRICS.values() if m.direction is not Direction.NEITHER][:12]
    same = {m.name: Comparison(m, 0.5, 0.5, 0.0, -0.1, 0.1, 20, Outcome.NO_DIFFERENCE) for m in metrics}
    better = {m.name: Comparison(m, 0.5, 0.4, -0.1, -0.2, -0.01, 20, Outcome.BETTER) for m in metrics[:2]}
    name = metrics[0].name
    hardly = _better({**same, name: better[name]}, "")
    assert (hardly.tone, hardly.advice) == (Tone.MIXED, Advice.TRAIN_LONGER)
    assert hardly.answer == "Hardly: better in 1 metric of 12, which may be chance."
    assert _better({**same, **better}, "").answer == "Yes: better in 2 metrics, worse in none."
    assert _better({name: better[name]}, "").tone is Tone.GOOD


def test_copies_on_new_prompts_are_told() -> None:
    new = verdicts(validation(BASE, s10=drawn(TRAINING[: 2 * NUM])))[3]
    assert (new.tone, new.advice) == (Tone.BAD, Advice.STOP_EARLIER)
    assert "8 of 8" in new.answer


def test_style_on_known_prompts_alone_is_told() -> None:
    new = verdicts(validation(BASE, s10=drawn([*UNSEEN[:NUM], *colourful(2 * NUM)[NUM:]])))[3]
    assert (new.tone, new.advice) == (Tone.BAD, Advice.STOP_EARLIER)
    assert "only on its training captions" in new.answer


def test_a_training_set_of_every_colour_tells_styles_apart_by_how_much_of_each_it_uses() -> None:
    """Any picture is near some colour of such a set, so that the palette distance says nothing."""
    target = ColourTarget(profiles_of([*shifted(colourful(60, seed=1), -90), *colourful(60, seed=3)[:10]]))
    ours = drawn(shifted(colourful(2 * NUM, seed=2), -90))
    found = Validation([""] * 2 * NUM, np.arange(2 * NUM) < NUM, BASE, {1.0: ours}, 6, target)
    assert "closer to your sprites" in verdicts(found)[0].answer
    assert against_base(found, 1.0)["colour_distance"].high < 0


def test_without_a_base_nothing_is_compared() -> None:
    alone = validation(None, s10=drawn(UNSEEN[: 2 * NUM]))
    assert [v.tone for v in verdicts(alone)] == [Tone.UNKNOWN, Tone.GOOD, Tone.UNKNOWN, Tone.UNKNOWN]
    assert [v.advice for v in verdicts(alone)].count(Advice.COMPARE) == 3
    assert make_record(alone, {}, [])["metrics"]["palette_distance"]["base"] is None


def test_few_images_and_no_new_prompts_are_not_judged() -> None:
    few = Validation(["a"] * 3, np.ones(3, bool), drawn(colourful(3)), {1.0: drawn(UNSEEN[:3])}, 6, TARGET)
    assert [v.tone for v in verdicts(few)] == [Tone.UNKNOWN, Tone.GOOD, Tone.UNKNOWN, Tone.UNKNOWN]
    assert [v.advice for v in verdicts(few)][2:] == [Advice.DRAW_MORE, Advice.GIVE_PROMPTS]


def test_what_was_not_measured_is_left_out_with_its_reason_and_is_no_failure() -> None:
    absent = without_grid()
    reasons = missing(absent, 1.0)
    assert set(OF_CELLS) <= reasons.keys()
    assert {reasons[name] for name in OF_CELLS} == {"no grid of native pixels was found"}
    _, clean, better, _ = verdicts(absent)
    assert clean.tone is Tone.UNKNOWN
    assert "no grid of native pixels was found in any picture" in clean.answer
    assert "snap residual, halo (no grid of native pixels was found)" in better.numbers
    counted = [c for c in against_base(absent, 1.0).values() if c.num_pairs]
    judged = [c for c in counted if c.metric.direction is not Direction.NEITHER]
    assert f"of {len(judged)} metrics" in better.numbers
    record = make_record(absent, {}, [])
    assert record["left_out"] == reasons
    assert not record["verdicts"].keys() & reasons.keys()
    assert record["shares"]["1"]["usable"] is None


def test_images_without_a_grid_are_not_counted_among_those_that_have_one() -> None:
    half = measure_set([scale_nearest(n, 8) for n in UNSEEN[:NUM]] + noise(NUM), REFERENCE, None)
    clean = verdicts(validation(None, s10=half))[1]
    assert usable(half, 16)[:NUM].tolist() == [1.0] * NUM
    assert f"{NUM} of {NUM}" in clean.answer
    assert f"{NUM} more are left out, for no grid of native pixels was found in them" in clean.numbers


def test_pixels_wider_than_the_sprites_are_not_called_clean() -> None:
    coarse = measure_set([scale_nearest(n, 8) for n in UNSEEN[: 2 * NUM]], REFERENCE, Grid(2))
    clean = verdicts(validation(None, s10=coarse))[1]
    assert (clean.tone, clean.advice) == (Tone.BAD, Advice.LARGER_CANVAS)
    assert f"in {2 * NUM} of {2 * NUM} a pixel is 4 times as wide as your sprites' pixels" in clean.answer
    run = Origin(("run=a",), "a", ("model.resolution=128", "data.path=art"), side_px=128)
    assert advise(clean.advice, run, 1.0).command.endswith("train.py data.path=art model.resolution=256")
    half = measure_set([scale_nearest(n, 16) for n in UNSEEN[: 2 * NUM]], REFERENCE, Grid(8))
    assert verdicts(validation(None, s10=half))[1].advice is Advice.TRAIN_LONGER


def test_a_command_that_draws_more_keeps_what_was_drawn() -> None:
    origin = Origin(("run=a",), "a", drawn=("num_prompts=4", "strength=1.0"))
    assert "run=a num_prompts=4 strength=1.0 overwrite=true images_per_prompt=4" in (
        advise(Advice.DRAW_MORE, origin, 1.0).command
    )


@pytest.mark.parametrize("origin", [OF_RUN, OF_FILE], ids=["run", "file"])
@pytest.mark.parametrize("advice", Advice)
def test_advice_is_a_command_of_keys_that_there_are(advice: Advice, origin: Origin) -> None:
    advised = advise(advice, origin, 0.7)
    assert advised.text
    if not advised.command:
        assert origin is OF_FILE
        return
    script, *words = shlex.split(advised.command)[1:]
    name = script.removeprefix("scripts/").removesuffix(".py")
    assert {word.partition("=")[0] for word in words} <= keys_of(name)


def test_a_page_does_not_tell_where_the_checkout_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    advised = advise(Advice.GENERATE, OF_RUN, 0.7)
    assert f"python {CHECKOUT / 'scripts' / 'generate.py'} " in advised.command
    assert advised.public.startswith("python scripts/generate.py ")


def test_a_page_does_not_tell_where_a_run_is_and_the_terminal_does() -> None:
    loras = "loras=[/a/b.safetensors,C:\\x\\c.safetensors]"
    origin = Origin(("run=/home/bob/my runs/first", "data.path=outputs/art", loras))
    advised = advise(Advice.GENERATE, origin, 0.7)
    assert "/home/bob/my runs/first" in advised.command
    for part in ("run=.../first", "data.path=outputs/art", "loras=[.../b.safetensors,...\\c.safetensors]"):
        assert part in advised.public


def test_training_anew_keeps_what_was_typed_but_for_the_folder() -> None:
    assert advise(Advice.LOWER_RATE, OF_RUN, 1.0).command.endswith("train.py data.path=art optim.lr=0.0005")
    assert "trainer.max_steps=150" in advise(Advice.STOP_EARLIER, OF_RUN, 1.0).command
    assert "trainer.max_steps=600" in advise(Advice.TRAIN_LONGER, OF_RUN, 1.0).command
    earlier = Origin(("run=outputs/a",), "outputs/a", earlier="outputs/a/checkpoint_step_100")
    assert "run=outputs/a/checkpoint_step_100" in advise(Advice.STOP_EARLIER, earlier, 1.0).command
