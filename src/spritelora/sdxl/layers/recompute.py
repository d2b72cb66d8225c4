"""Gradient checkpointing of as many blocks of a UNet as memory asks for."""

from collections.abc import Callable, Iterator
from typing import Any

from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.utils.checkpoint import checkpoint

from spritelora.sdxl.files.base import Unet


def recompute(unet: Unet, share: float, how: Callable[..., Any] | None = None) -> None:
    """Let the backward pass compute a share of the UNet's blocks again, instead of keeping their activations.

    `share`: from 0, none, to 1, all. The widest images come first, for they hold most memory for their arithmetic, and
    of equal ones the first in the model, whose turn comes when the later ones are done with. `how`: called with a block
    and its arguments; torch's checkpointing where it is None.
    """
    if not share:
        unet.disable_gradient_checkpointing()
        return
    by_width = sorted(_blocks(unet), key=_channels)
    chosen = set(by_width[: max(1, round(share * len(by_width)))])
    again = how or _checkpoint

    def run(block: nn.Module, *args: Any) -> Any:
        return again(block, *args) if block in chosen else block(*args)

    unet.enable_gradient_checkpointing(run)


def _checkpoint(block: nn.Module, *args: Any) -> Any:
    return checkpoint(block, *args, use_reentrant=False)


def _blocks(unet: Unet) -> Iterator[nn.Module]:
    """The blocks that diffusers can compute again, in the forward pass's order: all but the first in the middle."""
    middle: Any = unet.mid_block
    for part in (unet.down_blocks, middle, unet.up_blocks):
        for block in part.modules():
            if isinstance(block, BasicTransformerBlock | ResnetBlock2D) and block is not middle.resnets[0]:
                yield block


def _channels(block: nn.Module) -> int:
    """Channels of a block's output: the more, the smaller its image."""
    return block.dim if isinstance(block, BasicTransformerBlock) else block.out_channels  # pyright: ignore
