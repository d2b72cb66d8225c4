"""The parts of the base that are trained: how they start, and what captions are to them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spritelora.embedded.model.tiny import TinySdxl


def initialise_unet(unet: nn.Module) -> None:
    """Start every residual branch and the output at zero, as the first latent diffusion models did."""
    for name, layer in unet.named_modules():
        if name.endswith(("conv2", "proj_out", "conv_out")):
            for value in layer.parameters():
                nn.init.zeros_(value)


def encode_text(parts: TinySdxl, captions: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both encoders' second to last states (B, 77, 160), and the pooled embedding (B, 96)."""
    states: list[Tensor] = []
    pooled = torch.empty(0)
    for tokenizer, encoder in ((parts.tokenizer, parts.text_encoder), (parts.tokenizer_2, parts.text_encoder_2)):
        tokens = tokenizer(list(captions), padding="max_length", truncation=True, return_tensors="pt").input_ids
        encoded = encoder(tokens.to(device), output_hidden_states=True)
        states.append(encoded.hidden_states[-2])
        pooled = encoded[0]
    return torch.cat(states, -1), pooled
