"""`scripts/lora.py` as a user meets it: reports, files, and mistakes."""

import re
from pathlib import Path

import pytest
import torch

from spritelora.adapters.files.formats import write_form
from spritelora.adapters.files.lora_file import Form, read_lora_file
from spritelora.adapters.files.lowrank import distance, size
from spritelora.adapters.layers.proof import live_changes
from spritelora.commands.lora.lora import work_on_files
from spritelora.config.commands.export import LoraFormat
from spritelora.config.commands.lora import LoraFilesConfig, Mode
from spritelora.config.train.adapter_keys import SaveDtype
from spritelora.errors import ConfigError, WeightsError
from tests.adapters.layers.test_proof import trained
from tests.bounds import size_error, stored_error
from tests.running import run_python

pytestmark = pytest.mark.numeric


@pytest.fixture
def file(unet, tmp_path: Path) -> Path:
    """A LoRA of rank 4 and alpha 2 in diffusers' form."""
    modules = {f"unet.{path}": change for path, change in live_changes(trained(unet)).items()}
    write_form(tmp_path / "gems.safetensors", Form.diffusers, modules, torch.float32, {})
    return tmp_path / "gems.safetensors"


def settings(mode: Mode, *files: Path, **changes) -> LoraFilesConfig:
    return LoraFilesConfig(mode=mode, loras=[str(f) for f in files], **changes)


def test_merging_one_file_converts_it(file: Path, tmp_path: Path) -> None:
    work_on_files(settings(Mode.merge, file, output=str(tmp_path / "kohya.safetensors")))
    kohya, before = read_lora_file(tmp_path / "kohya.safetensors"), read_lora_file(file)
    assert (kohya.form, kohya.title) == (Form.kohya, "kohya")
    assert all(distance(kohya.modules[n], c) <= size_error(c, c) for n, c in before.modules.items())
    adapter = settings(Mode.merge, file, output=str(tmp_path / "adapter"), format=LoraFormat.peft, dtype=SaveDtype.bf16)
    work_on_files(adapter)
    assert {p.name for p in (tmp_path / "adapter").iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    assert next(iter(read_lora_file(tmp_path / "adapter").modules.values())).down.dtype == torch.bfloat16


def test_resizing_tells_what_is_lost(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work_on_files(settings(Mode.resize, file, rank=2, output=str(tmp_path / "small.safetensors")))
    report = capsys.readouterr().out
    told = re.match(r"rank 2 loses ([\d.]+)% of the change", report)
    assert told is not None
    assert "unet.mid_block" in report
    small, before = read_lora_file(tmp_path / "small.safetensors"), read_lora_file(file)
    assert {change.rank for change in small.modules.values()} == {2}
    gone, whole, stored = (
        sum(length**2 for length in lengths) ** 0.5
        for lengths in (
            [distance(small.modules[n], c) for n, c in before.modules.items()],
            [size(c) for c in before.modules.values()],
            [stored_error(c, c.down.dtype) for c in small.modules.values()],
        )
    )
    assert float(told[1]) / 100 == pytest.approx(gone / whole, abs=0.5e-5 + stored / whole)  # half of the last digit
    assert len(report.splitlines()) < 20
    work_on_files(settings(Mode.resize, file, rank=2, output=str(tmp_path / "b.safetensors"), every_layer=True))
    assert len(capsys.readouterr().out.splitlines()) > len(before.modules)


def test_inspect_compares_with_the_embedded_base(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work_on_files(settings(Mode.inspect, file, every_layer=True))
    report = capsys.readouterr().out
    for told in (
        "form       diffusers",
        "rank       4",
        "alpha      2",
        "relative to the weights of tiny-sdxl",
        "warning",
    ):
        assert told in report
    assert "unet.mid_block.resnets.0.conv1\n" in report


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": None}, "output is not set: name the file"),
        ({"output": "new.pt"}, r"output=new.pt: the name of a LoRA file ends in \.safetensors"),
        ({"lora_strengths": [1.0, 2.0]}, "lora_strengths has 2 numbers for 1 files"),
        ({"lora_strengths": [0.0]}, "0 leaves nothing of that file"),
        ({"mode": Mode.resize}, "mode=resize needs the rank to reach"),
        ({"mode": Mode.resize, "rank": 2, "lora_strengths": [0.5]}, "mode=resize takes one file and no lora_strengths"),
        ({"mode": Mode.resize, "rank": 9}, "rank=9: the largest rank here is 4"),
    ],
)
def test_settings_that_do_not_fit(file: Path, tmp_path: Path, changes: dict, message: str) -> None:
    config = settings(Mode.merge, file, output=str(tmp_path / "new.safetensors"))
    for name, value in changes.items():
        setattr(config, name, value)
    with pytest.raises(ConfigError, match=message):
        work_on_files(config)
    assert not (tmp_path / "new.safetensors").exists()


def test_nothing_is_overwritten_unasked(file: Path) -> None:
    before = file.read_bytes()
    config = settings(Mode.merge, file, output=str(file), lora_strengths=[0.5])
    with pytest.raises(ConfigError, match=r"gems.safetensors exists: .* replace it with overwrite=true"):
        work_on_files(config)
    assert file.read_bytes() == before
    config.overwrite = True
    work_on_files(config)
    assert read_lora_file(file).form is Form.kohya


def test_the_command(file: Path, tmp_path: Path) -> None:
    """The first file is told of, and the second is one mistake without a traceback."""
    gone = tmp_path / "gone.safetensors"
    result = run_python("scripts/lora.py", "mode=inspect", f"loras=[{file},{gone}]", ready="nothing")
    assert "form       diffusers" in result.stdout
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    (line,) = result.stderr.splitlines()  # nothing that the libraries beneath say of themselves
    assert line.startswith(f"error: {gone}: no such file")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere.safetensors: no such file"):
        work_on_files(settings(Mode.inspect, tmp_path / "nowhere.safetensors"))
