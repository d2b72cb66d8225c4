"""LoRA files that are not what their names say are named for what they are, and none is taken."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spritelora.adapters.bad_numbers import bad_numbers
from spritelora.adapters.bases import require_plain_sdxl, require_sdxl
from spritelora.adapters.inspect import block_sizes, describe_file
from spritelora.adapters.lora_file import read_lora_file
from spritelora.errors import WeightsError
from tests.weight_files.strangers import (
    LFS,
    NOT_FINITE,
    OTHER_BASES,
    OTHER_WEIGHTS,
    PAGE,
    UNREAD,
    Q,
    named,
    plain,
)

Tensors = Callable[[], dict[str, torch.Tensor]]


def saved(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file(tensors, folder / "lora.safetensors")
    return folder / "lora.safetensors"


@pytest.mark.parametrize("name", NOT_FINITE)
def test_numbers_that_are_none_are_told_and_refused(name: str, tmp_path: Path) -> None:
    tensors, told = NOT_FINITE[name]
    lora = read_lora_file(saved(tmp_path, tensors()))
    with pytest.raises(WeightsError, match=told) as error:
        require_sdxl(lora)
    assert str(error.value).startswith(f"{lora.path}: ")
    assert "take an earlier checkpoint" in str(error.value)
    report = describe_file(lora, block_sizes(lora, lambda _: None), "usual weights")
    assert "hold nan or inf, and no program can draw with it" in report
    assert "not trained" not in report
    assert "ComfyUI loads every layer" not in report


def test_finite_numbers_are_no_bad_ones(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn):
        tensors = {name: t.to(dtype) for name, t in plain().items()}
        assert bad_numbers(read_lora_file(saved(tmp_path, tensors))) is None


@pytest.mark.parametrize("name", UNREAD)
def test_kinds_that_are_not_read_are_named(name: str, tmp_path: Path) -> None:
    tensors, told = UNREAD[name]
    lora = read_lora_file(saved(tmp_path, tensors()))
    assert sum(lora.unread.values()) == 1
    assert lora.stray_keys == ()
    with pytest.raises(WeightsError, match=told):
        require_sdxl(lora)
    with pytest.raises(WeightsError, match=r"lora\.safetensors: holds "):
        require_plain_sdxl(lora)


@pytest.mark.parametrize("name", OTHER_BASES)
def test_a_lora_for_another_base_is_named(name: str, tmp_path: Path) -> None:
    tensors, told = OTHER_BASES[name]
    with pytest.raises(WeightsError, match=told):
        require_sdxl(read_lora_file(saved(tmp_path, tensors())))


@pytest.mark.parametrize("name", OTHER_WEIGHTS)
def test_what_is_no_lora_is_named(name: str, tmp_path: Path) -> None:
    shapes, told = OTHER_WEIGHTS[name]
    with pytest.raises(WeightsError, match=rf"lora\.safetensors: not a LoRA file: .*{told}"):
        read_lora_file(saved(tmp_path, {n: torch.zeros(shape) for n, shape in shapes.items()}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({f"{Q}.alpha": torch.ones(2)}, "its alpha is 2 numbers and must be one"),
        ({f"{Q}.lora_up.weight": torch.ones(640, 4, dtype=torch.int8)}, "its weights are torch.int8; give the LoRA in"),
        ({f"{Q}.lora_down.weight": torch.ones(0, 640), f"{Q}.lora_up.weight": torch.ones(640, 0)}, "is empty, as of rank 0"),
        ({"bundle_emb.gem.clip_l": torch.ones(4)}, "1 unknown keys, such as bundle_emb.gem.clip_l"),
        (named("alpha", "lora_up.weight", "magic"), "1 unknown keys, such as .*magic"),
    ],
)
def test_what_would_be_misread_or_lost_is_refused(tmp_path: Path, changes: dict, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        require_sdxl(read_lora_file(saved(tmp_path, {**plain(), **changes, **alpha_of(changes)})))


def alpha_of(changes: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Of a change that is about another tensor, the alpha of a whole layer."""
    return (
        {f"{Q}.alpha": torch.tensor(4.0), f"{Q}.lora_up.weight": torch.ones(640, 4)} if f"{Q}.magic" in changes else {}
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LFS, "a Git LFS pointer"),
        (PAGE, "a web page"),
        (b"{", r"not JSON .*get the adapter again"),
        (b"\xff\xff", "not J"),
    ],
)
def test_the_settings_of_a_peft_adapter_are_named_too(tmp_path: Path, content: bytes, told: str) -> None:
    names = {f"base_model.model.conv_in.lora_{end}.weight": t for end, t in (("A", 4), ("B", 4))}
    save_file({name: torch.ones(4, 4) for name in names}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"adapter_config\.json: {told}"):
        read_lora_file(tmp_path)


def test_a_peft_adapter_that_is_a_pickle_is_said(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").touch()
    with pytest.raises(WeightsError, match=r"no such file; adapter_model\.bin there is a pickle, which is not read"):
        read_lora_file(tmp_path)
