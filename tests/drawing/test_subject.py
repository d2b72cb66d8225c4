"""Who draws is settled once: as asked, else as the run's samples, else as the LoRA's file or the base says."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from spritelora.config.commands.generate import BaseConfig, DrawConfig, GenerateConfig
from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.train.schema import Prediction
from spritelora.data.run_canvases import read_sizes
from spritelora.drawing.source import Source, find_source
from spritelora.drawing.subject import Drawing, drawing_of, settle_subject, usual_guidance
from spritelora.embedded.location import embedded_base
from spritelora.errors import ConfigError, WeightsError
from spritelora.sdxl.files.base import BaseModel, find_base
from tests.composing import compose
from tests.records import a_record, write_record

RECORD = a_record(
    settings={
        "model": {"resolution": 192, "prediction": "v_prediction", "zero_terminal_snr": True},
        "sampler": {"steps": 7, "guidance": 5.5, "negative_prompt": "blur", "seed": 3},
    }
)
OF_THE_RUN = Drawing((192, 192), 7, 5.5, "blur", 3, Prediction.v_prediction, True)


def settle(source: Source, model: BaseConfig | None = None, sampler: DrawConfig | None = None, **more: Any) -> Drawing:
    return settle_subject(source, [], model or BaseConfig(), sampler or DrawConfig(), **more).drawing


@pytest.mark.parametrize("config", [GenerateConfig(), ValidateConfig()])
def test_every_command_draws_a_run_as_its_samples_were_drawn(config: GenerateConfig | ValidateConfig) -> None:
    assert drawing_of(RECORD.settings) == OF_THE_RUN
    assert settle(Source([], record=RECORD), config.model, config.sampler) == OF_THE_RUN


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"model": BaseConfig(resolution=64)}, {"size": (64, 64)}),
        ({"model": BaseConfig(prediction=Prediction.epsilon)}, {"prediction": Prediction.epsilon}),
        ({"sampler": DrawConfig(steps=2)}, {"steps": 2}),
        ({"sampler": DrawConfig(guidance=1.0)}, {"guidance": 1.0}),
        ({"sampler": DrawConfig(negative_prompt="")}, {"negative_prompt": ""}),
        ({"seed": 0}, {"seed": 0}),
    ],
)
def test_what_is_asked_for_goes_before_the_run(asked: dict[str, Any], named: dict[str, Any]) -> None:
    assert settle(Source([], record=RECORD), **asked) == replace(OF_THE_RUN, **named)


def test_a_side_that_nobody_draws_is_refused_before_memory_is_taken() -> None:
    record = a_record(data={"canvases": {"64x99968": 1}})
    with pytest.raises(ConfigError, match=r"model\.resolution: a side of 99,968 px is over .* take a smaller one"):
        settle(Source([], record=record))
    with pytest.raises(ConfigError, match=r"sampler\.shapes: a side of 99,968 px is over the limit of 16,384"):
        read_sizes(["64x99968"])


def test_without_a_run_the_base_says_how_it_is_drawn() -> None:
    assert asdict(settle(Source([]))) == asdict(Drawing(size=(128, 128), steps=25, guidance=2.0))


@pytest.mark.parametrize("model", ["tiny", "sdxl"])
def test_a_base_alone_has_the_guidance_that_a_run_on_it_draws_samples_with(model: str, tmp_path: Path) -> None:
    base = find_base(str(embedded_base())) if model == "tiny" else BaseModel("sdxl", tmp_path)
    assert usual_guidance(base) == compose(f"model={model}").sampler.guidance


def test_a_run_and_its_checkpoint_are_one_source_and_other_files_are_not_the_runs_own(tmp_path: Path) -> None:
    run = write_record(tmp_path / "run")
    checkpoint = run / "checkpoint_final"
    write_record(checkpoint / "training_state")
    file, other = checkpoint / "lora.safetensors", tmp_path / "other.safetensors"
    file.touch()
    other.touch()
    own = find_source(str(run), [])
    assert (own.files, own.run_dir, own.is_own) == ([file], run, True)
    assert find_source(str(checkpoint), []) == own
    assert find_source(str(run), [str(other)]) == replace(own, files=[other], is_own=False)


def test_files_that_are_not_there_and_weights_that_do_not_fit_are_named() -> None:
    with pytest.raises(WeightsError, match="loras=/nowhere/a, /nowhere/b: no such file"):
        find_source(None, ["/nowhere/a", "/nowhere/b"])
    with pytest.raises(ConfigError, match="lora_strengths has 2 numbers for 0 LoRAs; give one for each"):
        settle_subject(Source([]), [1.0, 0.5], BaseConfig(), DrawConfig())
