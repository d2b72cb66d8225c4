"""A run with each kind of adapter: it trains, resumes exactly, and its file is as strong as the live adapter."""

import json
import logging
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from spritelora.adapters.files.changes import change_size
from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.adapters.files.lowrank import LowRank, distance
from spritelora.adapters.layers.earlier_files import lay_recorded
from spritelora.adapters.layers.inject import inject_loras, set_strength
from spritelora.adapters.layers.live import live_change
from spritelora.adapters.layers.lora import add_lora
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.commands.export.export import export
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.config.train.adapter_keys import AdapterKind, SaveDtype
from spritelora.errors import ConfigError, ResumeError, WeightsError
from spritelora.runs.record import RunRecord
from spritelora.sdxl.files.base import load_unet
from spritelora.sweeps.rows import find_entries, read_row
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.bounds import assert_same_function, half_the_digits, size_error, stored_error
from tests.conftest import assert_same_tensors, lora_of

RSLORA = ("adapter=rslora", "lora.rank=4", "lora.alpha=3", "optim.lr=0.01", "targets.modules=[to_q,conv1]")


@pytest.mark.slow
def test_an_rslora_run_resumes_and_its_file_is_as_strong(train_quickly, base, caplog) -> None:
    with caplog.at_level(logging.INFO):
        whole = train_quickly(*RSLORA, "trainer.max_steps=3", name="whole")
    assert "alpha/sqrt(rank) = 1.5; files say alpha 6" in caplog.text
    assert "alpha/rank 1.5" in caplog.text
    begun = train_quickly(*RSLORA, "trainer.max_steps=2", name="begun")
    train_quickly(*RSLORA, "trainer.max_steps=3", f"resume={begun}", name="begun")
    assert_same_tensors(lora_of(whole), lora_of(begun))
    with pytest.raises(ResumeError, match=r"adapter\.kind: rslora -> lora"):
        train_quickly(*RSLORA[1:], "adapter=lora", "trainer.max_steps=4", f"resume={begun}", name="begun")

    lora = read_lora_file(whole / "checkpoint_final" / "lora.safetensors")
    assert lora.metadata["ss_network_alpha"] == "6.0"
    assert '"rank_stabilized": true' in lora.metadata["ss_network_args"]
    for place in (whole, whole / "checkpoint_final" / "lora.safetensors"):
        (entry,) = find_entries([str(place)], [])
        assert read_row(entry, None).cells["alpha_over_rank"] == pytest.approx(1.5)
    state = load_file(whole / "checkpoint_final" / "training_state" / "state.safetensors")
    unet = load_unet(base, torch.float32)
    add_lora(unet, [n.removeprefix("unet.") for n in lora.modules], 4, 3, 0.0, 0, AdapterKind.rslora)
    trained = {n.removeprefix("/state_dict/unet."): t for n, t in state.items() if "state_dict" in n and ".lora_" in n}
    assert not unet.load_state_dict(trained, strict=False).unexpected_keys
    for path, layer in lora_layers(unet).items():
        live = live_change(layer)
        assert isinstance(live, LowRank)
        assert live.up.any()
        far = distance(lora.modules[f"unet.{path}"], live)
        assert far <= stored_error(live, torch.float16) + size_error(live, live)


SHORT = ("lora.rank=4", "lora.alpha=3", "targets.modules=[attn2.to_k,conv1]")
KINDS = {
    "dora": ("adapter=dora", "optim=adamw8bit", "optim.lr=0.01", "optim.lora_plus=4", "lora.dropout=0.1"),
    "lokr": ("adapter=lokr", "optim=schedulefree", "optim.lr=0.05", "trainer.accumulate=2", "adapter.lokr_factor=8"),
    "loha": (
        "adapter=loha",
        "optim=adafactor",
        "optim.lr=0.05",
        "adapter.tucker=true",
        "++lora.rank_pattern={conv1:6}",
    ),
}


@pytest.mark.numeric
@pytest.mark.parametrize(
    "kind", [kind if kind == "dora" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_run_of_each_kind_resumes_and_its_files_draw_as_one_another(train_quickly, base, kind: str, tmp_path) -> None:
    """With another optimizer, accumulation or dropout each; PEFT reads the one form of the file, and we both."""
    settings = (*SHORT, *KINDS[kind])
    settings = (*settings, "trainer.max_steps=3", "trainer.save_every=2")
    whole = train_quickly(*settings, name="whole")
    branch = train_quickly(*settings, f"resume={whole / 'checkpoint_step_2'}", name="branch")
    assert_same_tensors(lora_of(whole), lora_of(branch))

    folder, kohya = tmp_path / "peft", tmp_path / "whole.safetensors"
    export(ExportConfig(run=str(whole), format=LoraFormat.peft, dtype=SaveDtype.fp32, output=str(folder)))
    export(ExportConfig(run=str(whole), dtype=SaveDtype.fp32, output=str(kohya)))
    with pytest.raises(WeightsError, match="format=diffusers cannot hold a"):
        export(ExportConfig(run=str(whole), format=LoraFormat.diffusers, output=str(tmp_path / "d.safetensors")))
    plain, ours = load_unet(base, torch.float32), load_unet(base, torch.float32)
    set_strength(ours, inject_loras(ours, [read_lora_file(kohya)], base.name), [1.0])
    theirs = PeftModel.from_pretrained(load_unet(base, torch.float32), str(folder)).get_base_model()
    again = load_unet(base, torch.float32)
    set_strength(again, inject_loras(again, [read_lora_file(folder)], base.name), [1.0])
    assert not torch.allclose(call(theirs), call(plain), atol=1e-3)
    drawn = call_in_float64(theirs)
    assert_same_function(call_in_float64(ours), drawn, torch.float32)
    assert_same_function(call_in_float64(again), drawn, torch.float32)

    metadata = read_lora_file(kohya).metadata
    assert metadata["ss_network_module"] == "lycoris.kohya"
    told = json.loads(metadata["ss_network_args"])
    assert (
        told.items()
        >= {
            "dora": {"algo": "lora", "dora_wd": "True", "wd_on_output": "True", "loraplus_lr_ratio": "4.0"},
            "lokr": {"algo": "lokr", "factor": "8", "decompose_both": "False", "use_tucker": "False"},
            "loha": {"algo": "loha", "use_tucker": "True", "rank_pattern": {"conv1": 6}},
        }[kind].items()
    )
    assert metadata["ss_network_dim"] == ("Dynamic" if kind == "loha" else "4")


@pytest.mark.numeric
def test_a_run_over_another_and_one_that_goes_on_from_it(train_quickly, base, tmp_path: Path, caplog) -> None:
    """Each begins with what the earlier LoRA draws; its own file holds the new layers alone, and tells of it."""
    settings = (*SHORT, "optim.lr=0.01", "trainer.max_steps=1", "lora.save_dtype=fp32")
    first = train_quickly(*settings, "trainer.max_steps=6", name="first")
    file = first / "checkpoint_final" / "lora.safetensors"
    ended = _validation_losses(first)[-1]
    with caplog.at_level(logging.INFO):
        over = train_quickly(*settings, "adapter=lokr", "lora.rank=2", f"adapter.over={file}", name="over")
    assert f"training over {file} at strength 1" in caplog.text
    started = train_quickly(*settings, f"adapter.start={file}", name="started")
    same = half_the_digits(torch.float32)
    assert _validation_losses(first)[0] != pytest.approx(ended, rel=3 * same)
    for run in (over, started):
        assert _validation_losses(run)[0] == pytest.approx(ended, rel=same)
    made = read_lora_file(over / "checkpoint_final" / "lora.safetensors")
    assert (len(made.others), len(made.modules)) == (len(read_lora_file(file).modules), 0)
    assert made.metadata["ss_trained_over"].startswith("first at 1 (sha256 ")
    assert "ss_trained_over" not in read_lora_file(started / "checkpoint_final" / "lora.safetensors").metadata

    longer = (*settings, "adapter=lokr", "lora.rank=2", "trainer.max_steps=2", f"resume={over}")
    copy = tmp_path / "other.safetensors"
    export(ExportConfig(run=str(first), title="other", output=str(copy)))
    with pytest.raises(ResumeError, match=r"adapter\.over: another file than the run began with"):
        train_quickly(*longer, f"adapter.over={copy}", name="over")
    with pytest.raises(ResumeError, match=r"adapter\.over: not as the run began with"):
        train_quickly(*longer, name="over")
    with pytest.raises(ResumeError, match=r"adapter\.over_strength: 1\.0 -> 0\.5"):
        train_quickly(*longer, f"adapter.over={file}", "adapter.over_strength=0.5", name="over")
    train_quickly(*longer, f"adapter.over={file}", name="over")

    record, drawn_over, on_top = RunRecord.read(over), load_unet(base, torch.float32), load_unet(base, torch.float32)
    lay_recorded(drawn_over, record, base.name)
    set_strength(on_top, inject_loras(on_top, [read_lora_file(file)], base.name), [1.0])
    assert_same_function(call_in_float64(drawn_over), call_in_float64(on_top), torch.float32)
    for path, told in ((copy, "has changed"), (tmp_path / "gone.safetensors", "no such file")):
        record.settings.adapter.over = str(path)
        with pytest.raises(WeightsError, match=f"{told}, and the run was trained over it; put it back"):
            lay_recorded(drawn_over, record, base.name)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("optim", ["adamw", "adamw8bit", "lion8bit", "adafactor", "prodigy", "schedulefree"])
@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "lokr", "loha"])
def test_six_steps_equal_three_and_three(train_quickly, kind: str, optim: str, accumulate: int) -> None:
    settings = (f"adapter={kind}", *SHORT, f"optim={optim}", f"trainer.accumulate={accumulate}")
    whole = train_quickly(*settings, "trainer.max_steps=6", name="whole")
    parts = train_quickly(*settings, "trainer.max_steps=3", name="parts")
    train_quickly(*settings, f"resume={parts}", "trainer.max_steps=6", name="parts")
    assert_same_tensors(lora_of(whole), lora_of(parts))
    changes = read_lora_file(whole / "checkpoint_final" / "lora.safetensors").everything.values()
    assert any(change_size(change) > 0 for change in changes)


def test_a_pattern_of_no_layer_and_a_setting_of_another_kind_stop_a_run_before_it_loads(train_quickly) -> None:
    with pytest.raises(ConfigError, match=r"lora\.rank_pattern: mid_blocks\.\* matches none of the"):
        train_quickly("++lora.rank_pattern={mid_blocks.*:8}")
    with pytest.raises(ConfigError, match=r"adapter=loha has no dropout of its inputs"):
        train_quickly("adapter=loha", "lora.dropout=0.1")


def _validation_losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["validation_loss"] for line in lines if "validation_loss" in line]
