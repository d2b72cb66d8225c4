"""LoRA files that are not what their names say are named for what they are, and none is taken."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spritelora.adapters.files.bad_numbers import bad_numbers
from spritelora.adapters.files.bases import require_plain_sdxl, require_sdxl
from spritelora.adapters.files.inspect import block_sizes, describe_file
from spritelora.adapters.files.lora_file import read_lora_file
from spritelora.errors import WeightsError
from spritelora.shown import OBEYED
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
        (
            {f"{Q}.lora_down.weight": torch.ones(0, 640), f"{Q}.lora_up.weight": torch.ones(640, 0)},
            "is empty, as of rank 0",
        ),
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


def lycoris(alpha: float | None = None, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
    """A layer of LoKr of two full matrices, or with others in their place."""
    whole = {"lokr_w1": torch.ones(20, 20), "lokr_w2": torch.ones(32, 32), **tensors}
    return {f"{Q}.{n}": t for n, t in {**whole, **({} if alpha is None else {"alpha": torch.tensor(alpha)})}.items()}


HUGE = {"hada_w1_a": (200_000, 1), "hada_w1_b": (1, 200_000), "hada_w2_a": (200_000, 1), "hada_w2_b": (1, 200_000)}
UNLIKE = {"hada_w1_a": (640, 4), "hada_w1_b": (4, 640), "hada_w2_a": (1, 4), "hada_w2_b": (4, 1)}


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({**plain(), f"{Q}.alpha": torch.ones(0)}, "its alpha is 0 numbers and must be one"),
        ({**plain(), f"{Q}.alpha": torch.tensor(1j)}, "its alpha is 1 numbers and must be one"),
        ({**plain(), f"{Q}.lora_down.weight": torch.tensor(4.0)}, "do not fit together"),
        ({**plain(), f"{Q}.lora_up.weight": torch.ones(640, 4, 3, 3)}, "do not fit together"),
        ({**plain(), f"{Q}.lora_down.weight": torch.ones(4, 0)}, r"a tensor of \(4, 0\) is empty, as of rank 0"),
        (lycoris(0.0), "its LoKr is of rank 0"),
        (lycoris(lokr_w1=torch.ones(2, 20, 20)), "parts of its LoKr are missing or do not fit together"),
        (lycoris(lokr_w1=torch.tensor(1.0)), "parts of its LoKr are missing or do not fit together"),
        (lycoris(1.0, lokr_w1=torch.ones(4000, 1), lokr_w2=torch.ones(1, 400_000)), "1,600,000,000 numbers .*limit"),
        ({f"{Q}.{n}": torch.ones(s) for n, s in HUGE.items()}, "40,000,000,000 numbers .*over the limit"),
        ({f"{Q}.{n}": torch.ones(s) for n, s in UNLIKE.items()}, "parts of its LoHa are missing or do not fit"),
        ({**plain(), "x" * 600: torch.ones(1)}, "a name of a tensor has 600 letters, over the limit of 512"),
        ({f"lora_unet_{i}.alpha": torch.ones(()) for i in range(20_001)}, "20,001 tensors are over the limit"),
    ],
)
def test_what_no_program_wrote_is_refused_before_work_is_done(
    tensors: dict[str, torch.Tensor], told: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=rf"lora\.safetensors: .*{told}"):
        read_lora_file(saved(tmp_path, tensors))


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_a_lokr_whose_alpha_is_no_number_is_told_as_that(alpha: float, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"1 of 1 layers hold nan or inf.*alpha: 1 of 1"):
        require_sdxl(read_lora_file(saved(tmp_path, lycoris(alpha))))


def test_a_rank_that_is_larger_than_its_layer_takes_no_more_memory_than_the_layer(tmp_path: Path) -> None:
    halves = {"down": torch.ones(20_000, 64, dtype=torch.float16), "up": torch.ones(64, 20_000, dtype=torch.float16)}
    lora = read_lora_file(saved(tmp_path, {f"{Q}.lora_{n}.weight": t for n, t in halves.items()}))
    (whole,) = block_sizes(lora, lambda _: None, lambda _: "all")
    assert whole.relative == pytest.approx(20_000 * 64 / 8, rel=1e-9)


def test_a_header_that_takes_long_to_read_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes((17 << 20).to_bytes(8, "little") + b"{" + bytes(100))
    with pytest.raises(WeightsError, match=r"its header has 17,825,792 bytes, over the limit of 16,777,216"):
        read_lora_file(tmp_path / "lora.safetensors")


def peft(folder: Path, config: str | bytes) -> Path:
    names = {f"base_model.model.conv_in.lora_{end}.weight": shape for end, shape in (("A", (4, 36)), ("B", (320, 4)))}
    save_file({name: torch.ones(shape) for name, shape in names.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    return folder


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"a":' * 100_000, "not JSON .*recursion"),
        ('{"lora_alpha": "16"}', "lora_alpha is '16', not a number"),
        ('{"lora_alpha": true}', "lora_alpha is 'True', not a number"),
        ('{"lora_alpha": NaN}', "lora_alpha is nan, not a number"),
        (f'{{"lora_alpha": 1{"0" * 399}}}', "lora_alpha is a number of 400 digits"),
        ('{"alpha_pattern": ["a"]}', "alpha_pattern is no JSON object"),
        ('{"alpha_pattern": {"conv_in": null}}', "alpha_pattern: conv_in is 'None', not a number"),
        ('{"alpha_pattern": {"(a+)+$": 1}}', r"'\(a\+\)\+\$' may be matched for ever"),
        ('{"alpha_pattern": {".*.*.*x": 1}}', "repeats 3 times, over the limit of 2"),
        ('{"alpha_pattern": {"[": 1}}', r"'\[' is no pattern"),
        ('{"alpha_pattern": {"(?=a)": 1}}', "may be matched for ever"),
        (
            f'{{"alpha_pattern": {{{", ".join(f""" "a{i}|b": 1""" for i in range(17))}}}}}',
            "patterns that are no",
        ),
    ],
)
def test_settings_that_are_none_or_take_for_ever_are_named(config: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"adapter_config\.json: .*{told}.*get the adapter again"):
        read_lora_file(peft(tmp_path, config))


@pytest.mark.parametrize(
    ("config", "alpha"),
    [
        ('{"lora_alpha": 6}', 6.0),
        ('{"lora_alpha": null}', 4.0),
        ('{"lora_alpha": 6, "use_rslora": true}', 12.0),
        ('{"lora_alpha": 6, "alpha_pattern": {"conv_in": 3, "conv.*": 2}}', 3.0),
        ('{"lora_alpha": 6, "alpha_pattern": {"conv.*": 2, "conv_in": 3}}', 2.0),
        ('{"lora_alpha": 6, "alpha_pattern": {"onv_in": 2, "v_in|conv_ix": 3}}', 6.0),
    ],
)
def test_an_alpha_is_that_of_the_first_pattern_that_a_path_ends_in(config: str, alpha: float, tmp_path: Path) -> None:
    (change,) = read_lora_file(peft(tmp_path, config)).modules.values()
    assert change.alpha == alpha


def test_what_a_file_says_of_itself_speaks_to_no_terminal(tmp_path: Path) -> None:
    save_file(plain(), tmp_path / "lora.safetensors", {"ss_x": "\x1b[31m\nFORGED \u2028", "ss_\x07": "\u202e"})
    lora = read_lora_file(tmp_path / "lora.safetensors")
    report = describe_file(lora, block_sizes(lora, lambda _: None), "usual weights")
    assert OBEYED.search(report) is None
    assert "ss_x = \\x1b[31m\\nFORGED \\u2028\n" in report
