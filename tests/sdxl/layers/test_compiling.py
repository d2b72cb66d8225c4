"""Compiled transformer blocks: eager's numbers, eager where it is asked for, and what is said where it fails."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.errors import TrainingError
from spritelora.sdxl.layers.compiling import compile_blocks, compiler_errors, is_compiled, uncompiled
from spritelora.sdxl.layers.recompute import recompute
from tests.bounds import assert_same_function

pytestmark = pytest.mark.numeric


def small_unet(width: int = 32) -> UNet2DConditionModel:
    """One kind of transformer block, with a LoRA that changes something."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(width,), layers_per_block=1, down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",), attention_head_dim=1, cross_attention_dim=width, norm_num_groups=8,
        use_linear_projection=True,
    ).requires_grad_(False)  # fmt: skip
    add_lora(unet, match_targets(unet, ["to_q", "to_k", "to_v", "to_out.0"]), 4, 4.0, 0.0, seed=0)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return unet.double().train()


def run(unet: UNet2DConditionModel) -> list[Tensor]:
    """Output, and the gradients of the LoRA."""
    generator = torch.Generator().manual_seed(1)
    width = unet.config["cross_attention_dim"]
    noisy, text = (torch.randn(shape, generator=generator).double() for shape in ((2, 4, 8, 8), (2, 77, width)))
    result: Any = unet(noisy, torch.tensor([500, 20]), text, return_dict=False)[0]
    result.square().sum().backward()
    gradients = [p.grad for p in unet.parameters() if p.grad is not None]
    for parameter in unet.parameters():
        parameter.grad = None
    return [result.detach(), *gradients]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("share", [0, 0.5])
def test_compiled_blocks_give_the_same_numbers(share: float) -> None:
    eager, unet = small_unet(), small_unet()
    compile_blocks(unet)
    recompute(unet, share)
    assert is_compiled(unet)
    assert not is_compiled(eager)
    theirs, ours = run(eager), run(unet)
    assert len(ours) == len(theirs) > 40
    for a, b in zip(ours, theirs, strict=True):
        assert_same_function(a, b)
    with uncompiled(unet):
        assert all(torch.equal(a, b) for a, b in zip(run(unet), theirs, strict=True))


def test_no_compiler_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    unet = small_unet(width=40)
    compile_blocks(unet)
    with pytest.raises(TrainingError) as error, compiler_errors():
        run(unet)
    assert str(error.value).startswith("hardware.compile=true: torch.compile fails here (")
    assert str(error.value).endswith("or take hardware.compile=false")


def test_other_errors_are_not_taken_for_the_compilers() -> None:
    with pytest.raises(RuntimeError, match="of a batch"), compiler_errors():
        raise RuntimeError("of a batch")
