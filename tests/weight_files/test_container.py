"""A file that is no safetensors file is named for what it is by every reader, with what to do."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spritelora.errors import WeightsError
from spritelora.weight_files.container import open_tensors, read_tensors, stand_in
from tests.conftest import ROOT
from tests.weight_files.strangers import LFS, PAGE, STRANGERS


@pytest.mark.parametrize("name", STRANGERS)
def test_each_stranger_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    content, told = STRANGERS[name]
    file = tmp_path / "lora.safetensors"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=told) as error:
        open_tensors(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_a_safetensors_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    save_file({"x": torch.arange(3)}, tmp_path / "a.ckpt")
    assert read_tensors(tmp_path / "a.ckpt")["x"].tolist() == [0, 1, 2]


def test_a_text_under_a_pickles_name_is_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"(dp0\nS'x'\np1\nI1\ns.")
    with pytest.raises(WeightsError, match="a pickle"):
        open_tensors(tmp_path / "a.pkl")
    (tmp_path / "page.ckpt").write_bytes(PAGE)
    with pytest.raises(WeightsError, match="a web page"):
        open_tensors(tmp_path / "page.ckpt")


def test_what_is_not_there_and_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors: no such file; give a \.safetensors file"):
        open_tensors(tmp_path / "gone.safetensors")
    with pytest.raises(WeightsError, match="not a file"):
        open_tensors(tmp_path)
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "blob")
    with pytest.raises(WeightsError, match=r"no such file, for it links to .*blob, which is not there"):
        open_tensors(tmp_path / "link.safetensors")


def test_what_stands_in_the_place_of_any_file(tmp_path: Path) -> None:
    for content, is_stand_in in ((LFS, True), (PAGE, True), (b"", True), (b'{"a": 1}', False), (b"words", False)):
        (tmp_path / "config.json").write_bytes(content)
        assert (stand_in(tmp_path / "config.json") is not None) == is_stand_in


def test_nothing_else_opens_safetensors_files() -> None:
    """But the cache, which makes a damaged entry again."""
    opens = re.compile(r"\bsafe_open\b|\bload_file\b")
    files = {f.relative_to(ROOT).as_posix() for f in (ROOT / "src").rglob("*.py") if opens.search(f.read_text())}
    assert files == {"src/spritelora/weight_files/container.py", "src/spritelora/data/cache.py"}
