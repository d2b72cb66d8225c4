"""Every command names a file for what it is, where it is given as a LoRA, and takes none that is none for SDXL."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spritelora.adapters.layers.earlier_files import read_earlier
from spritelora.adapters.layers.layer_plan import plan_adapter
from spritelora.adapters.layers.lora import match_targets
from spritelora.commands.compare.compare import compare
from spritelora.commands.export.export import export
from spritelora.commands.generate.generate import generate
from spritelora.commands.lora.lora import work_on_files
from spritelora.commands.validate.validate import validate
from spritelora.config.commands.compare import CompareConfig
from spritelora.config.commands.export import ExportConfig
from spritelora.config.commands.generate import GenerateConfig
from spritelora.config.commands.lora import LoraFilesConfig, Mode
from spritelora.config.commands.validate import ValidateConfig
from spritelora.config.invocation import Invocation
from spritelora.config.train.schema import TrainConfig
from spritelora.embedded.location import embedded_base
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import Unet, empty_unet, find_base
from tests.composing import compose
from tests.records import write_record
from tests.weight_files.strangers import NOT_FINITE, OTHER_BASES, OTHER_WEIGHTS, STRANGERS, UNREAD, plain

BYTES = {name: STRANGERS[name] for name in ("lfs", "page", "json", "torch", "empty", "half the numbers")}
SHAPES = {name: OTHER_WEIGHTS[name] for name in ("inversion", "control lora", "sdxl", "vae")}
TENSORS = {**NOT_FINITE, **{name: UNREAD[name] for name in ("glora", "oft", "ia3", "full", "lokr and dora")}}
BASES = {name: OTHER_BASES[name] for name in ("sd15", "flux")}


@functools.cache
def training() -> tuple[TrainConfig, Unet]:
    """Settings of a training, and the structure of its UNet."""
    return compose(), empty_unet(find_base(str(embedded_base())))


def begin(key: str, file: Path) -> None:
    """As training does before it loads the base."""
    config, unet = training()
    targets = match_targets(unet, config.targets.modules)
    earlier = read_earlier(replace(config.adapter, **{key: str(file)}))
    earlier.check(unet, "tiny-sdxl", plan_adapter(config.lora, config.adapter, targets), targets)


def export_with(file: Path, folder: Path) -> None:
    """A checkpoint whose LoRA is sound, and the file as a further one of its workflow."""
    checkpoint = folder / "checkpoint"
    write_record(checkpoint / "training_state")
    save_file(plain(), checkpoint / "lora.safetensors")
    output = str(folder / "new.safetensors")
    export(ExportConfig(run=str(checkpoint), output=output, workflow=True, loras=[str(file)]))


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "inspect": lambda file, _: work_on_files(LoraFilesConfig(Mode.inspect, [str(file)])),
    "merge": lambda file, out: work_on_files(
        LoraFilesConfig(Mode.merge, [str(file)], output=str(out / "new.safetensors"))
    ),
    "resize": lambda file, out: work_on_files(
        LoraFilesConfig(Mode.resize, [str(file)], rank=2, output=str(out / "new.safetensors"))
    ),
    "validate": lambda file, out: validate(ValidateConfig(loras=[str(file)], output=str(out / "new"))),
    "generate": lambda file, out: generate(GenerateConfig(loras=[str(file)], prompts=["a"]), Invocation(out / "new")),
    "compare": lambda file, out: compare(CompareConfig([str(file)], output=str(out / "new")), out),
    "adapter.start": lambda file, _: begin("start", file),
    "adapter.over": lambda file, _: begin("over", file),
    "export": export_with,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Each stranger as a file, and what is told of it."""
    folder = tmp_path_factory.mktemp("files")
    found: dict[str, tuple[Path, str]] = {}

    def place(name: str, told: str) -> Path:
        (folder / name).mkdir()
        found[name] = folder / name / "gems.safetensors", told
        return found[name][0]

    for name, (content, told) in BYTES.items():
        place(name, told).write_bytes(content)
    for name, (shapes, told) in SHAPES.items():
        save_file({n: torch.zeros(s) for n, s in shapes.items()}, place(name, told))
    for name, (tensors, told) in {**TENSORS, **BASES}.items():
        save_file(tensors(), place(name, told))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_every_stranger_and_takes_none(
    command: str, files: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    for name, (file, told) in files.items():
        if command == "inspect" and name in BASES:  # which it describes
            continue
        if command in ("merge", "resize") and name in UNREAD:
            told = "holds .* in 1 layer; this works on plain LoRA alone"
        (tmp_path / name).mkdir()
        with pytest.raises(WeightsError, match=rf"gems\.safetensors: .*?({told})"):
            COMMANDS[command](file, tmp_path / name)
        assert not list((tmp_path / name).glob("new*"))


def test_inspect_describes_what_is_not_finite_and_fails(
    files: dict[str, tuple[Path, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """All files are told of, then all that is wrong with them, once."""
    names = ("one nan", "page", "flux", "glora")
    with pytest.raises(WeightsError) as error:
        work_on_files(LoraFilesConfig(Mode.inspect, [str(files[name][0]) for name in names]))
    report = capsys.readouterr().out
    assert "base       SDXL" in report
    assert "warning: 1 of 2 layers hold nan or inf, and no program can draw with it" in report
    assert "base       FLUX" in report
    assert [line.split(": ")[1][:12] for line in str(error.value).splitlines()] == [
        "1 of 2 layer",
        "a web page (",
        "holds GLoRA ",
    ]
