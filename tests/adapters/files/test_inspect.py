"""What a file holds is told rightly: its base, the sizes of its changes, and who would not load it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spritelora.adapters.files.bases import EMBEDDED, base_of, require_plain_sdxl, require_sdxl
from spritelora.adapters.files.formats import Modules, write_form
from spritelora.adapters.files.inspect import block_sizes, describe_file, loading_problems, size_warnings
from spritelora.adapters.files.lora_file import Form, LoraFile, read_lora_file
from spritelora.adapters.files.lowrank import LowRank
from spritelora.adapters.layers.proof import live_changes
from spritelora.errors import WeightsError
from spritelora.sdxl.files.geometry import full_unet
from tests.adapters.layers.test_proof import trained

pytestmark = pytest.mark.numeric

ATTENTION = "attentions.0.transformer_blocks.0"


def lora(rank: int, outputs: int, inputs: int, alpha: float = 2.0) -> LowRank:
    return LowRank(torch.ones(rank, inputs), torch.ones(outputs, rank), alpha)


def thin(shape: torch.Size) -> LowRank:
    """A change of rank 1 for a weight of that shape."""
    return LowRank(torch.ones(1, *shape[1:]), torch.ones(shape[0], 1, *([1] * (len(shape) - 2))), 1.0)


def written(folder: Path, modules: Modules, form: Form = Form.kohya) -> LoraFile:
    write_form(folder / "lora.safetensors", form, modules, torch.float32, {})
    return read_lora_file(folder / "lora.safetensors")


def foreign(folder: Path, tensors: dict[str, tuple[int, ...]]) -> LoraFile:
    """A file of another trainer, from keys and shapes."""
    save_file({key: torch.ones(shape) for key, shape in tensors.items()}, folder / "foreign.safetensors")
    return read_lora_file(folder / "foreign.safetensors")


def sd15(folder: Path) -> LoraFile:
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    shapes = {"lora_down.weight": (4, 768), "lora_up.weight": (320, 4), "alpha": ()}
    return foreign(folder, {f"{name}.{end}": shape for end, shape in shapes.items()})


def flux(folder: Path) -> LoraFile:
    name = "transformer.single_transformer_blocks.0.attn.to_q"
    return foreign(folder, {f"{name}.lora_A.weight": (4, 3072), f"{name}.lora_B.weight": (3072, 4)})


def test_bases_are_told_apart(tmp_path: Path) -> None:
    full = written(tmp_path, {f"unet.down_blocks.1.{ATTENTION}.attn2.to_k": lora(4, 640, 2048)})
    tiny = written(tmp_path, {f"unet.down_blocks.1.{ATTENTION}.attn2.to_k": lora(4, 96, 160)})
    text = written(tmp_path, {"text_encoder_2.text_model.encoder.layers.20.mlp.fc1": lora(4, 5120, 1280)})
    assert [base_of(x) for x in (full, tiny, text)] == ["SDXL", "the embedded tiny SDXL", "SDXL"]
    assert [base_of(f(tmp_path)) for f in (sd15, flux)] == ["SD 1.5", "FLUX"]
    neither = written(tmp_path, {f"unet.down_blocks.1.{ATTENTION}.attn2.to_k": lora(4, 640, 999)})
    assert base_of(neither) == "an unknown model"


def test_every_layer_of_a_base_fits_it(base, tmp_path: Path) -> None:
    unet = base.config("unet")
    assert (tuple(unet["block_out_channels"]), unet["cross_attention_dim"]) == (EMBEDDED.channels, EMBEDDED.text_width)
    layers = {n: m for n, m in full_unet().named_modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)}
    modules = {f"unet.{name}": thin(layer.weight.shape) for name, layer in layers.items()}
    assert len(modules) == 794
    assert base_of(written(tmp_path, modules)) == "SDXL"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (sd15, r"a LoRA for SD 1.5, not for SDXL; 1 layer that SDXL has not, such as lora_unet_down_blocks_0"),
        (flux, r"a LoRA for FLUX, not for SDXL"),
    ],
)
def test_a_lora_for_another_base_is_refused(tmp_path: Path, file, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        require_sdxl(file(tmp_path))


def test_unknown_keys_and_other_kinds_are_refused(unet, tmp_path: Path) -> None:
    good = written(tmp_path, {f"unet.{p}": c for p, c in live_changes(trained(unet)).items()})
    require_sdxl(good)
    tensors = load_file(good.path)
    for key, message in (
        ("lora_unet_conv_in.dora_scale", "holds DoRA in 1 layer; this works on plain LoRA"),
        ("emb_params", "1 unknown keys, such as emb_params"),
    ):
        save_file({**tensors, key: torch.ones(1)}, tmp_path / "more.safetensors")
        with pytest.raises(WeightsError, match=message):
            require_plain_sdxl(read_lora_file(tmp_path / "more.safetensors"))


def test_a_peft_file_without_its_settings_has_no_known_strength(unet, tmp_path: Path) -> None:
    adapter = written(tmp_path, {f"unet.{p}": c for p, c in live_changes(trained(unet)).items()}, Form.peft)
    adapter.path.with_name("adapter_config.json").unlink()
    alone = read_lora_file(adapter.path)
    assert "alpha      not known" in describe_file(alone, [], "nothing")
    with pytest.raises(WeightsError, match=r"no adapter_config.json beside it.*copy the whole folder"):
        require_sdxl(alone)


def test_sizes_are_of_the_deltas_over_the_weights(tmp_path: Path) -> None:
    """A change of ones times 2 in (96, 160): every entry is alpha / rank * rank = 2."""
    file = written(
        tmp_path,
        {
            f"unet.down_blocks.1.{ATTENTION}.attn2.to_k": lora(4, 96, 160),
            "unet.mid_block.attentions.0.proj_in": LowRank(torch.ones(4, 128), torch.zeros(128, 4), 2.0),
        },
    )
    down, mid, whole = block_sizes(file, lambda _: 8.0)
    norm = 2 * (96 * 160) ** 0.5
    assert (down.block, down.num_modules, down.relative) == ("unet.down_blocks.1", 1, pytest.approx(norm / 8))
    assert (mid.block, mid.relative) == ("unet.mid_block", 0)
    assert (whole.num_modules, whole.relative) == (2, pytest.approx(norm / (8**2 + 8**2) ** 0.5))
    assert block_sizes(file, lambda _: None)[0].relative == pytest.approx(norm / 96**0.5)
    assert size_warnings([down, mid, whole]) == ["unet.mid_block is changed by less than 0.0001 of its weights"]


@pytest.mark.parametrize(("factor", "warning"), [(0.0, "changes nothing: every up matrix"), (1e-9, "next to nothing")])
def test_a_lora_that_does_not_show_is_warned_of(tmp_path: Path, factor: float, warning: str) -> None:
    change = lora(4, 96, 160)
    small = LowRank(change.down, change.up * factor, 2.0)
    file = written(tmp_path, {f"unet.down_blocks.1.{ATTENTION}.attn2.to_k": small})
    assert warning in describe_file(file, block_sizes(file, lambda _: None), "usual weights")


def skipped_layers(problems: list[str]) -> int:
    return int(problems[0].split("pass over ")[1].split(" of")[0]) if problems and "pass over" in problems[0] else 0


def test_comfyui_skips_what_it_does_not_name(unet, tmp_path: Path) -> None:
    """PEFT's layers all, of diffusers' the attention layers, of kohya's none."""
    modules = {f"unet.{p}": c for p, c in live_changes(trained(unet, rank=4, alpha=4)).items()}
    attention = [name for name in modules if ".attn1.to_" in name or ".attn2.to_" in name]
    problems = {form: loading_problems(written(tmp_path / form.value, modules, form)) for form in Form}
    skipped = {form: skipped_layers(p) for form, p in problems.items()}
    assert skipped == {Form.kohya: 0, Form.diffusers: len(attention), Form.peft: len(modules)}
    assert "scripts/lora.py mode=merge loras=" in problems[Form.peft][0]


def test_the_names_of_older_diffusers_load(tmp_path: Path) -> None:
    name = f"unet.down_blocks.1.{ATTENTION}.attn1.processor.to_out_lora"
    file = foreign(tmp_path, {f"{name}.down.weight": (4, 640), f"{name}.up.weight": (640, 4)})
    assert loading_problems(file) == []
    assert list(file.modules) == [f"unet.down_blocks.1.{ATTENTION}.attn1.to_out.0"]


def test_an_alpha_that_comfyui_does_not_see(tmp_path: Path) -> None:
    modules = {"unet.down_blocks.1.attentions.0.proj_in": lora(4, 640, 640, alpha=2.0)}
    assert loading_problems(written(tmp_path, modules)) == []
    (problem,) = loading_problems(written(tmp_path, modules, Form.diffusers))
    assert "would use 1 for alpha/rank 0.5" in problem


def test_other_reasons_not_to_load(tmp_path: Path) -> None:
    assert "not for SDXL" in loading_problems(sd15(tmp_path))[0]
    modules = {"unet.down_blocks.1.attentions.0.proj_in": lora(4, 96, 96)}
    assert "of which ComfyUI has no checkpoint" in loading_problems(written(tmp_path, modules))[0]
    write_form(tmp_path / "a.safetensors", Form.kohya, modules, torch.float16, {"ss_base_model_version": "sd_v1"})
    assert "A1111 would hide it" in loading_problems(read_lora_file(tmp_path / "a.safetensors"))[-1]
