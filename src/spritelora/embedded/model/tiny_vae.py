"""The tiny SDXL's autoencoder: SDXL's class, built to carry flat cells of 8 x 8 px exactly instead of trained.

A flat cell needs three numbers for its colour, so the identity is within reach of the architecture. Two things stand
between: group normalisation takes out what a group has in common, and SiLU bends the rest. Both are undone by
construction. A colour runs through the network as a pair x, -x, for silu(x) - silu(-x) = x; a pair of large constants
in the same group makes the group's deviation almost independent of the picture. Residual branches end in zero,
resampling is the identity. Trained from a near-identity start instead, the same network had reached 24 dB after five
minutes of a core; so built, it has over 60 dB, and a latent cell depends on its own colour alone, the fourth channel
also on the cells around it.
"""

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

NUM_COLOURS = 3

ANCHOR = 16.0
"""The constants of a pair; the larger, the less the picture changes the scale of its own colours."""

MEAN_SQUARE = 0.5
"""Of a sprite's colours, in [-1, 1]: what the anchors are added to in a group's variance."""

LATENT_STD = 0.03
"""The deviation that the encoder names, where the latents' own is 1."""


def build_vae(sample_size_px: int) -> Any:
    """SDXL's autoencoder with 8 px to a latent cell, 4 channels and SDXL's scaling factor."""
    config: dict[str, Any] = {
        "block_out_channels": (16, 32, 64, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 4,
        "sample_size": sample_size_px,
        "scaling_factor": 0.13025,
        "force_upcast": True,
    }
    vae: Any = AutoencoderKL(**config)
    with torch.no_grad():
        close_branches(vae)
        wire_encoder(vae.encoder)
        wire_decoder(vae.decoder)
        wire_latents(vae.quant_conv, vae.post_quant_conv, vae.config["scaling_factor"])
    return vae


def close_branches(vae: Any) -> None:
    """End every residual branch in zero, and make every change of size the identity."""
    for name, layer in vae.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if name.endswith(("conv2", "to_out.0")):
            zero(layer)
        elif name.endswith("samplers.0.conv"):
            zero(layer)
            identity = torch.eye(*layer.weight.shape[:2])
            if "downsamplers" in name:
                # The block pads to the right and below, so that the kernel's upper left is the 2 x 2 cell.
                layer.weight[:, :, :2, :2] = identity[:, :, None, None] / 4
            else:
                layer.weight[:, :, 1, 1] = identity


def zero(layer: nn.Module) -> None:
    """Set a layer's weights and bias to zero."""
    for value in layer.parameters():
        value.zero_()


def wire_encoder(encoder: Any) -> None:
    """Channels 0 to 5 are the colours as pairs, 6 and 7 the anchors, all in the first group of the last norm."""
    num_carried = 2 * NUM_COLOURS + 2
    group_size = encoder.conv_norm_out.num_channels // encoder.conv_norm_out.num_groups
    first, last = encoder.conv_in, encoder.conv_out
    first.weight[:num_carried] = 0
    first.bias[:num_carried] = 0
    for colour in range(NUM_COLOURS):
        wire_pair(first.weight[:, colour, 1, 1], colour * 2, 1.0)
    wire_pair(first.bias, num_carried - 2, ANCHOR)
    pass_through(encoder, num_carried, group_size)
    zero(last)
    deviation = ((2 * ANCHOR**2 + 2 * NUM_COLOURS * MEAN_SQUARE) / group_size) ** 0.5
    contrast = torch.full((3, 3), -1 / 9)
    contrast[1, 1] += 1
    for colour in range(NUM_COLOURS):
        wire_pair(last.weight[colour, :, 1, 1], colour * 2, deviation)
        # The fourth channel says how light a cell is against those around it.
        for row in range(3):
            for column in range(3):
                share = float(contrast[row, column]) / NUM_COLOURS
                wire_pair(last.weight[NUM_COLOURS, :, row, column], colour * 2, deviation * share)


def wire_decoder(decoder: Any) -> None:
    """Each colour has a group of the last norm to itself: x, -x and the two anchors."""
    norm = decoder.conv_norm_out
    group_size = norm.num_channels // norm.num_groups
    num_carried = NUM_COLOURS * group_size
    first, last = decoder.conv_in, decoder.conv_out
    first.weight[:num_carried] = 0
    first.bias[:num_carried] = 0
    pass_through(decoder, num_carried, num_carried)
    zero(last)
    deviation = ((2 * ANCHOR**2 + 2 * MEAN_SQUARE) / group_size) ** 0.5
    for colour in range(NUM_COLOURS):
        start = colour * group_size
        wire_pair(first.weight[:, colour, 1, 1], start, 1.0)
        wire_pair(first.bias, start + 2, ANCHOR)
        wire_pair(last.weight[colour, :, 1, 1], start, deviation)


def wire_pair(weights: Tensor, start: int, gain: float) -> None:
    """Give a pair of neighbouring channels opposite weights; `weights`: (C,), a view of a layer's."""
    weights[start] = gain
    weights[start + 1] = -gain


def pass_through(half: Any, num_carried: int, num_reserved: int) -> None:
    """Let the first channels pass each change of width, and nothing else into the channels of their group."""
    for name, layer in half.named_modules():
        if name.endswith("conv_shortcut"):
            layer.weight[:num_reserved] = 0
            layer.bias[:num_reserved] = 0
            layer.weight[:num_carried, :num_carried, 0, 0] = torch.eye(num_carried)


def wire_latents(quant_conv: Any, post_quant_conv: Any, scaling_factor: float) -> None:
    """Pass the means on as they are, and name a small constant variance."""
    channels = post_quant_conv.out_channels
    zero(quant_conv)
    quant_conv.weight[:channels, :channels, 0, 0] = torch.eye(channels)
    quant_conv.bias[channels:] = 2 * torch.log(torch.tensor(LATENT_STD / scaling_factor))
    zero(post_quant_conv)
    post_quant_conv.weight[:, :, 0, 0] = torch.eye(channels)


@torch.no_grad()
def whiten_latents(vae: Any, latents: Tensor) -> None:
    """Fold the whitening of the latents into the two 1 x 1 convolutions around them, so that the stock factor holds.

    `latents`: (N, 4, h, w), the encoder's means before the fold. Afterwards means times the scaling factor have mean
    0 and unit covariance over them.
    """
    channels = latents.shape[1]
    flat = latents.transpose(0, 1).reshape(channels, -1).double()
    centre = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    whiten = vectors @ torch.diag(values.rsqrt()) @ vectors.T / vae.config["scaling_factor"]
    into, out_of = vae.quant_conv, vae.post_quant_conv
    weight, bias = into.weight[:channels, :, 0, 0].double(), into.bias[:channels].double()
    into.weight[:channels, :, 0, 0] = (whiten @ weight).float()
    into.bias[:channels] = (whiten @ (bias - centre)).float()
    weight, bias = out_of.weight[:, :, 0, 0].double(), out_of.bias.double()
    out_of.bias.copy_((bias + weight @ centre).float())
    out_of.weight[:, :, 0, 0] = (weight @ torch.linalg.inv(whiten)).float()
