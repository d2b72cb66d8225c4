"""Which blocks are computed again, how many, and that nothing else changes."""

from typing import Any

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from spritelora.adapters.layers.lora import add_lora, match_targets
from spritelora.sdxl.files.base import Unet, load_unet
from spritelora.sdxl.files.geometry import SDXL_UNET, shapes_of
from spritelora.sdxl.layers.recompute import recompute
from spritelora.sdxl.sample import call_unet

pytestmark = pytest.mark.numeric


def chosen_of(unet: Unet, share: float) -> list[nn.Module]:
    """The blocks that are handed on to be computed again, in the order of the forward pass."""
    seen: list[nn.Module] = []

    def note(block: nn.Module, *args: Any) -> Any:
        seen.append(block)
        return block(*args)

    recompute(unet, share, note)
    device, side = unet.device, unet.config["sample_size"]
    pooled = unet.config["projection_class_embeddings_input_dim"] - 6 * unet.config["addition_time_embed_dim"]
    shapes = (1, 4, side, side), (1,), (1, 77, unet.config["cross_attention_dim"])
    conditions = {"text_embeds": torch.zeros(1, pooled, device=device), "time_ids": torch.zeros(1, 6, device=device)}
    call_unet(unet, *(torch.zeros(shape, device=device) for shape in shapes), conditions)
    return seen


def width(block: nn.Module) -> int:
    return block.dim if isinstance(block, BasicTransformerBlock) else block.out_channels  # pyright: ignore


def test_full_size_has_86_blocks_and_the_widest_images_go_first() -> None:
    unet = shapes_of(SDXL_UNET)
    first_in_the_middle = unet.mid_block.resnets[0]  # pyright: ignore
    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock | ResnetBlock2D)]
    blocks = [b for b in blocks if b is not first_in_the_middle]  # diffusers keeps what it computes
    assert len(blocks) == 70 + 16
    counts = {share: len(chosen_of(unet, share)) for share in (0, 0.001, 0.1, 0.5, 1)}
    assert counts == {0: 0, 0.001: 1, 0.1: 9, 0.5: 43, 1: 86}
    assert {width(b) for b in chosen_of(unet, 0.05)} == {320}
    for share in (0.3, 0.7):
        chosen = chosen_of(unet, share)
        left_out = [b for b in blocks if b not in chosen]
        assert max(map(width, chosen)) <= min(map(width, left_out))
    narrow = [b for b in chosen_of(unet, 0.5) if width(b) == 1280]
    assert narrow, "of equal blocks the first in the model are chosen:"
    assert not set(narrow) & set(unet.up_blocks.modules())


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_gradients_are_the_same_to_the_bit(base, share: float) -> None:
    def gradients(share: float) -> list[Tensor]:
        unet = load_unet(base, torch.float32).requires_grad_(False)
        add_lora(unet, match_targets(unet, ["to_q", "to_k"]), 4, 4.0, 0.5, seed=0)
        recompute(unet.train(), share)
        torch.manual_seed(0)
        size = unet.config["projection_class_embeddings_input_dim"] - 6 * unet.config["addition_time_embed_dim"]
        conditions = {"text_embeds": torch.randn(1, size), "time_ids": torch.randn(1, 6)}
        text = torch.randn(1, 77, unet.config["cross_attention_dim"])
        noisy = torch.randn(1, 4, 16, 16).requires_grad_(True)
        call_unet(unet, noisy, torch.tensor([500]), text, conditions).square().mean().backward()
        return [p.grad for p in (noisy, *unet.parameters()) if p.grad is not None]

    plain, again = gradients(0), gradients(share)
    assert len(plain) > 100
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
