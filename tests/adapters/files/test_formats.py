"""One adapter in every form: other programs draw the same with each, and each reads back as what was written."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import PeftModel
from safetensors.torch import load_file, save_file

from spritelora.adapters.files.formats import tensor_hash, write_form
from spritelora.adapters.files.lora_file import Form, read_lora_file
from spritelora.adapters.files.lowrank import LowRank, distance, even_alphas
from spritelora.adapters.layers.proof import live_changes
from spritelora.errors import WeightsError
from spritelora.sdxl.files.base import load_unet
from tests.adapters.layers.test_lora import call, call_in_float64
from tests.adapters.layers.test_proof import trained
from tests.bounds import assert_same_function, exact_delta, rounding, size_error, stored_error

pytestmark = pytest.mark.numeric

CONV_IN = "lora_unet_input_blocks_0_0"


def changes(unet) -> dict[str, LowRank]:
    """Of a trained adapter with rank 4 and alpha 2, one layer apart, which has rank 3 and alpha 5."""
    modules = {f"unet.{path}": change for path, change in live_changes(unet).items()}
    odd = next(name for name in modules if name.endswith("attn1.to_q"))
    modules[odd] = LowRank(modules[odd].down[:3].clone(), modules[odd].up[:, :3].clone(), 5.0)
    return modules


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_each_form_reads_back(unet, tmp_path: Path, form: Form, dtype: torch.dtype) -> None:
    modules = changes(trained(unet))
    write_form(tmp_path / "lora", form, modules, dtype, {"modelspec.title": "gems"})
    read = read_lora_file(tmp_path / "lora")
    assert (read.form, read.title, read.unknown, read.stray_keys) == (form, "gems", frozenset(), ())
    assert read.modules.keys() == modules.keys()
    for name, change in modules.items():
        assert (read.modules[name].rank, read.modules[name].alpha) == (change.rank, change.alpha)
        assert read.modules[name].down.dtype == dtype
        assert distance(read.modules[name], change) <= stored_error(change, dtype) + size_error(change, change)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("same_alpha", [True, False])
def test_other_programs_draw_the_same(base, unet, tmp_path: Path, form: Form, same_alpha: bool) -> None:
    """As the live model with alpha 2 at rank 4, and as weights with layers of other ranks and alphas added to them."""
    if same_alpha:
        written = {f"unet.{path}": change for path, change in live_changes(trained(unet)).items()}
        ours = call_in_float64(unet)
    else:
        modules = changes(trained(unet))
        written = even_alphas(modules) if form is Form.kohya else modules
        plain = load_unet(base, torch.float32).double()
        for name, change in written.items():
            plain.get_submodule(name.removeprefix("unet.")).weight.data += exact_delta(change)  # pyright: ignore
        ours = call(plain)
    write_form(tmp_path / "lora.safetensors", form, written, torch.float32, {})
    theirs = load_unet(base, torch.float32)
    if form is Form.peft:
        theirs = PeftModel.from_pretrained(theirs, str(tmp_path / "lora.safetensors"))  # pyright: ignore
    else:
        tensors, alphas, metadata = StableDiffusionXLPipeline.lora_state_dict(
            str(tmp_path), weight_name="lora.safetensors", unet_config=theirs.config, return_lora_metadata=True
        )
        StableDiffusionXLPipeline.load_lora_into_unet(tensors, alphas, theirs, metadata=metadata)
    assert not torch.allclose(call(load_unet(base, torch.float32)), call(theirs), atol=1e-2)
    assert_same_function(call_in_float64(theirs), ours)


def test_diffusers_own_files_are_read(unet, tmp_path: Path) -> None:
    trained(unet, rank=4, alpha=2)
    live = live_changes(unet)
    unet.save_lora_adapter(tmp_path / "model", adapter_name="default")
    read = read_lora_file(next((tmp_path / "model").glob("*.safetensors")))
    assert read.form is Form.diffusers
    for path, change in live.items():
        assert isinstance(change, LowRank)
        assert distance(read.modules[f"unet.{path}"], change) <= size_error(change, change)


def test_rank_stabilised_alphas_are_understood(tmp_path: Path) -> None:
    modules = {"unet.conv_in": LowRank(torch.ones(4, 4, 3, 3), torch.ones(48, 4, 1, 1), 2.0)}
    write_form(tmp_path / "adapter", Form.peft, modules, torch.float32, {})
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**config, "use_rslora": True}))
    (change,) = read_lora_file(tmp_path / "adapter").modules.values()
    assert change.alpha / change.rank == pytest.approx(2 / 4**0.5, rel=rounding(4, torch.float64))


def test_peft_cannot_hold_two_models(tmp_path: Path) -> None:
    change = LowRank(torch.ones(2, 160), torch.ones(48, 2), 2.0)
    names = ("unet.time_embedding.linear_1", "text_encoder.text_model.encoder.layers.0.mlp.fc1")
    with pytest.raises(WeightsError, match=r"1 text-encoder layers too; use format=kohya"):
        write_form(tmp_path / "adapter", Form.peft, dict.fromkeys(names, change), torch.float32, {})
    assert not (tmp_path / "adapter").exists()


def test_numbers_too_large_for_the_format_are_not_written(tmp_path: Path) -> None:
    modules = {"unet.conv_in": LowRank(torch.full((1, 4, 3, 3), 1e6), torch.ones(48, 1, 1, 1), 1.0)}
    with pytest.raises(WeightsError, match=r"more than rounding to float16 explains; use dtype=fp32"):
        write_form(tmp_path / "x.safetensors", Form.kohya, modules, torch.float16, {})
    assert not (tmp_path / "x.safetensors").exists()


def test_a_folder_that_cannot_be_written() -> None:
    modules = {"unet.conv_in": LowRank(torch.ones(1, 4, 3, 3), torch.ones(48, 1, 1, 1), 1.0)}
    with pytest.raises(WeightsError, match=r"cannot be written .*; name another place with output="):
        write_form(Path("/proc/nowhere/x.safetensors"), Form.kohya, modules, torch.float16, {})


@pytest.fixture
def kohya_file(tmp_path: Path) -> Path:
    modules = {"unet.conv_in": LowRank(torch.ones(2, 4, 3, 3), torch.ones(48, 2, 1, 1), 2.0)}
    write_form(tmp_path / "good.safetensors", Form.kohya, modules, torch.float16, {})
    return tmp_path / "good.safetensors"


def test_a_truncated_file(kohya_file: Path) -> None:
    kohya_file.write_bytes(kohya_file.read_bytes()[:-100])
    with pytest.raises(
        WeightsError, match=r"good.safetensors: not a whole safetensors file: cut short.* fetch it again"
    ):
        read_lora_file(kohya_file)


@pytest.mark.parametrize("name", ["evil.safetensors", "evil.pt"])
def test_a_pickle_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    torch.save({"lora_unet_x.alpha": torch.tensor(1.0)}, tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name}: a pickle, which can run any code when it is read"):
        read_lora_file(tmp_path / name)


def test_a_file_that_is_no_lora(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a LoRA file: none of its 1 tensors belongs to an adapter"):
        read_lora_file(tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"gone.safetensors: no such file; give a .safetensors file, or the folder"):
        read_lora_file(tmp_path / "gone.safetensors")


def twin(tensors: dict[str, torch.Tensor]) -> None:
    """The same layer again under diffusers' name."""
    for ours, theirs in (("down", "A"), ("up", "B")):
        tensors[f"unet.conv_in.lora_{theirs}.weight"] = tensors[f"{CONV_IN}.lora_{ours}.weight"].clone()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tensors: tensors.pop(f"{CONV_IN}.lora_up.weight"), "has only its down half"),
        (lambda tensors: tensors.update({f"{CONV_IN}.lora_up.weight": torch.ones(48, 5, 1, 1)}), "do not fit together"),
        (twin, "are the same layer"),
    ],
)
def test_modules_that_are_not_whole(kohya_file: Path, damage, message: str) -> None:
    tensors = load_file(kohya_file)
    damage(tensors)
    save_file(tensors, kohya_file)
    with pytest.raises(WeightsError, match=message):
        read_lora_file(kohya_file)


def test_adapter_settings_that_are_not_json(kohya_file: Path, tmp_path: Path) -> None:
    modules = read_lora_file(kohya_file).modules
    write_form(tmp_path / "adapter", Form.peft, modules, torch.float32, {})
    for text, message in (("{", "not JSON"), ("[]", "not a JSON object")):
        (tmp_path / "adapter" / "adapter_config.json").write_text(text)
        with pytest.raises(WeightsError, match=rf"adapter_config.json: {message}"):
            read_lora_file(tmp_path / "adapter")


def test_the_hash_is_written(kohya_file: Path) -> None:
    digest = tensor_hash(load_file(kohya_file))
    assert read_lora_file(kohya_file).metadata["modelspec.hash_sha256"] == f"0x{digest}"
