"""A wrong word on the command line is named and corrected, before torch is imported and with nothing written."""

from pathlib import Path

import pytest

from spritelora.config.command_line import HABITS
from spritelora.config.fields import text_keys
from spritelora.config.free_text import quote
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from tests.composing import compose
from tests.conftest import ROOT, run_train
from tests.running import run_python

NO_TORCH = """
import sys, runpy
sys.argv = {argv!r}
try:
    runpy.run_path("train.py", run_name="__main__")
finally:
    assert "torch" not in sys.modules, "torch was imported"
"""

MISTAKES = [
    (["lora.rnk=8"], "unknown key 'lora.rnk': did you mean 'lora.rank'?"),
    (["+lora.rnk=8"], "unknown key 'lora.rnk': did you mean 'lora.rank'?"),
    (["optm=adamw"], "unknown key 'optm': did you mean 'optim'?"),
    (["hydra.run.dri=x"], "unknown key 'hydra.run.dri': did you mean 'hydra.run.dir'?"),
    (["lora=rank65"], "'lora' has no option 'rank65': did you mean 'lora=rank64'?"),
    (["lr=1e-4"], "for any number: optim.lr=1e-4"),
    (["steps=700"], "for any number: trainer.max_steps=700"),
    (["optim.lr=abc"], "optim.lr: Value 'abc' of type 'str' could not be converted to Float"),
    (
        ["hardware.gradient_checkpointing=2"],
        "hardware.gradient_checkpointing must be true or false, or a number with a point, as 0.5, got '2'",
    ),
    (["hardware.gradient_checkpointing=1.5"], "hardware.gradient_checkpointing must be at most 1, got 1.5"),
    (["optim.lr=0"], "optim.lr must be above 0, got 0"),
    (["lora.rank=-3"], "lora.rank must be at least 1, got -3"),
    (["data.holdout=0.9"], "data.holdout must be at most 0.5, got 0.9"),
    (["model.resolution=100"], "model.resolution must be a multiple of 32, got 100"),
    (["model.resolution=1099511627776"], "model.resolution must be at most 16384, got 1099511627776"),
    (["model.resolution=big"], "model.resolution must be auto or a number, got 'big'"),
    (["model.resolution=1.5"], "model.resolution must be a whole number, or auto, got '1.5'"),
    (["lora.rank=0", "optim.lr=-1"], "lora.rank must be at least 1, got 0\n  optim.lr must be above 0, got -1"),
    (["trainer.batch_size=???"], "'trainer.batch_size' has no value: add trainer.batch_size=..."),
    (["hardware.precision=fp8"], "hardware.precision: Invalid value 'fp8', expected one of"),
    (["hardware.device=mps"], "hardware.device=mps: a Mac's GPU is not supported"),
    ([f"output={'a' * 300}"], "has over 255 bytes; give a shorter name"),
    (["weighting=min_snr", "+weighting.gama=3"], "did you mean 'weighting.gamma'?"),
    (["weighting=min_snr", "weighting.gamma=abc"], "weighting.gamma: must be a number, got 'abc'"),
    (["schedule.warmup_steps=1.5"], "schedule.warmup_steps: must be a whole number, got '1.5'"),
    (["weighting._target_=os.system"], "weighting._target_: os.system is not among the trusted targets"),
    (["weighting._target_=spritelora.diffusion.weighting.Nope"], "has no Nope"),
    (["rank64"], "'rank64' is not a setting: settings are typed key=value"),
    (["weighting=min_snr", "weighting.gamma=-1"], "weighting.gamma must be above 0, got -1"),
    (["schedule.warmup_steps=-5"], "schedule.warmup_steps must be at least 0, got -5"),
    (["weighting._target_=torch.optim.optimizer.torch.seed"], "is not among the trusted targets"),
    (["lora=null"], "'lora' takes the name of an option (rank8"),
    (["targets.modules=[]"], "targets.modules must have at least 1 entry"),
    (["--model", "sdxl"], "settings are typed key=value without dashes: model=sdxl"),
    (["--rank", "64"], "settings are typed key=value without dashes: lora.rank=64"),
    (["--frobnicate"], "unknown option '--frobnicate'"),
    (["-m", "lora=rank8,rank99"], "'lora' has no option 'rank99'"),
    (["-m", "lora=rank8,rank16", "lora.rnk=1,2"], "unknown key 'lora.rnk': did you mean 'lora.rank'?"),
    (["lora=rank8,rank16"], "add -m to sweep"),
    (["-m", "lora=rank8,rank16", "sweep.objective=validation_los"], "did you mean 'validation_loss'?"),
    (["resume=/nowhere"], "resume=/nowhere: no such folder"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_mistake_is_named_before_torch_is_imported(arguments: list[str], message: str) -> None:
    before = set((ROOT / "outputs").rglob("*"))
    script = NO_TORCH.format(argv=["train.py", *arguments])
    result = run_python("-c", script, ready="door")
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert result.returncode == (1 if "resume=" in arguments[0] else 2)
    assert set((ROOT / "outputs").rglob("*")) == before


def test_mistake_in_a_file_of_the_user_names_the_file(tmp_path: Path) -> None:
    experiments = tmp_path / "experiment"
    experiments.mkdir()
    (experiments / "mine.yaml").write_text("# @package _global_\nlora: {rnk: 8}\n")
    result = run_train("--config-dir", str(tmp_path), "experiment=mine", ready="door")
    assert result.returncode == 2
    assert "unknown key 'lora.rnk' in conf/experiment/mine.yaml: did you mean 'lora.rank'?" in result.stderr


def test_help_is_printed_before_torch_is_imported() -> None:
    result = run_python("-c", NO_TORCH.format(argv=["train.py", "lora=rank16", "--help", "all"]), ready="door")
    assert result.returncode == 0, result.stderr
    assert "lora.rank=16 " in result.stdout


def test_flags_after_overrides_are_accepted() -> None:
    result = run_train("lora=rank16", "--cfg", "job", "--resolve", ready="door")
    assert result.returncode == 0
    assert "rank: 16" in result.stdout


def test_of_a_sweep_the_first_job_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    result = run_train("-m", "lora=rank16,rank32", "--cfg", "job", cwd=tmp_path, ready="door")
    assert result.returncode == 0, result.stderr
    assert "rank: 16" in result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "pixel art, red potion",
        'it\'s a "potion"',
        "a=b, c: d {e} [f] ${g}",
        "back\\slash\\",
        "back\\'slash",
        "[pixel] art, 16-bit",
        "100% (very) red #1; ~x",
    ],
)
def test_free_text_means_itself(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    value = OverridesParser.create().parse_override(f"key={quote(text)}").value()
    assert OmegaConf.create({"key": str(value)}).key == text
    assert compose(f"sampler.negative_prompt={text}").sampler.negative_prompt == text


def test_a_prompt_with_commas_is_one_prompt_and_a_list_is_several() -> None:
    assert compose("sampler.prompts=pixel art, red potion").sampler.prompts == ["pixel art, red potion"]
    assert compose('sampler.prompts=["a, b","c"]').sampler.prompts == ["a, b", "c"]


def test_null_unsets_a_path() -> None:
    assert compose("data.path=null").data.path is None


def test_every_flag_of_the_guide_has_an_override() -> None:
    keys = set(text_keys(TrainConfig)) | {"lora.rank", "lora.alpha", "optim.lr", "trainer.max_steps"}
    for flag in ("dataset", "output", "model", "rank", "alpha", "lr", "steps", "batch-size", "resume"):
        assert HABITS.get(flag, flag) in keys | {"trainer.batch_size"}
        result = run_train(f"--{flag}", "value", ready="door")
        assert f"{HABITS.get(flag, flag)}=value" in result.stderr


def test_presets_are_the_recipes_of_the_guide() -> None:
    fast, balanced, quality = (compose(f"preset={name}") for name in ("fast", "balanced", "quality"))
    for preset in (fast, balanced, quality):
        assert preset.model.path == "stabilityai/stable-diffusion-xl-base-1.0"
        assert preset.optim._target_.endswith("AdamW8bit")
        assert preset.lora.dropout == 0.1
        assert preset.hardware == compose().hardware, "chosen by the device"
    assert (fast.lora.rank, fast.trainer.max_steps, fast.optim.lr, fast.trainer.batch_size) == (16, 1500, 2e-4, 4)
    trainer = balanced.trainer
    assert (balanced.lora.rank, trainer.max_steps, balanced.optim.lr, trainer.batch_size) == (32, 3000, 1e-4, 2)
    assert (trainer.accumulate, balanced.schedule["warmup_steps"], balanced.weighting["gamma"]) == (2, 100, 5.0)
    assert balanced.objective.noise_offset == quality.objective.noise_offset == 0.05
    for preset in (balanced, quality):
        assert preset.schedule["_target_"].endswith(".Cosine")
        assert preset.weighting == {"_target_": "spritelora.diffusion.weighting.MinSNR", "gamma": 5.0}
    trainer = quality.trainer
    assert (quality.lora.rank, trainer.max_steps, quality.optim.lr, trainer.batch_size) == (64, 5000, 5e-5, 2)
    assert (trainer.accumulate, quality.schedule["warmup_steps"], trainer.save_every) == (4, 200, 250)


def test_typed_settings_beat_presets_and_presets_beat_models() -> None:
    assert compose("preset=fast", "lora=rank8").lora.rank == 8
    assert compose("preset=fast", "optim.lr=3e-4").optim.lr == 3e-4
    assert compose("preset=fast", "model=tiny").model.path is None
    assert (compose("model=sdxl").lora.rank, compose("model=sdxl", "lora=rank64").lora.rank) == (32, 64)


@pytest.mark.parametrize("experiment", sorted(p.stem for p in (ROOT / "conf/experiment").glob("*.yaml")))
def test_every_experiment_composes(experiment: str) -> None:
    compose(f"experiment={experiment}")


def test_entries_of_an_open_key_need_no_plus() -> None:
    result = run_train("optim.args.amsgrad=true", "--cfg", "job", ready="door")
    assert result.returncode == 0, result.stderr
    assert "amsgrad: true" in result.stdout
    result = run_train("optim.args.amsgrd=true", ready="door")
    assert result.returncode == 2
    assert (
        "'optim.args.amsgrd' is not an argument of torch.optim.AdamW: did you mean 'optim.args.amsgrad'?"
        in result.stderr
    )


def test_a_preset_gives_way_to_every_group() -> None:
    assert compose("preset=balanced", "weighting=uniform").weighting == {
        "_target_": "spritelora.diffusion.weighting.Uniform"
    }
    assert compose("preset=fast", "hardware=cpu").hardware.precision.name == "fp32"


def test_run_names_hold_no_folders() -> None:
    overrides = ("lora=rank16", "++data.cache=/home/bob/x", "data.path='/home/bob/my, sprites'", "optim.args={a: /b/c}")
    assert Invocation(Path("run"), overrides).name == "rank16 path=my, sprites args={a: c}"


def test_output_that_holds_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "art.png").write_bytes(b"mine")
    result = run_train(f"output={tmp_path}", ready="door")
    assert result.returncode == 2
    assert "is not an empty folder" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["art.png"]
