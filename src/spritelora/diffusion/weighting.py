"""Loss weights by timestep. A new one is a frozen dataclass here and a file in conf/weighting."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spritelora.config.fields import key
from spritelora.config.train.schema import Prediction


@dataclass(frozen=True)
class Uniform:
    """Every timestep counts the same."""

    def __call__(self, snr: Tensor, prediction: Prediction) -> Tensor:
        """Returns ones like `snr`."""
        return torch.ones_like(snr)


@dataclass(frozen=True)
class MinSNR:
    """Loss weight min(SNR, gamma) / SNR for a noise-predicting model, / (SNR + 1) for v-prediction.

    Source: Hang et al. 2023, arXiv:2303.09556.
    """

    gamma: float = key(5.0, "SNR above which the weight falls", above=0)

    def __call__(self, snr: Tensor, prediction: Prediction) -> Tensor:
        """`snr`: (B,), above 0 for epsilon. Returns (B,), in (0, 1], 0 where v is asked of noise alone."""
        clipped = snr.clamp(max=self.gamma)
        return clipped / (snr + 1) if prediction is Prediction.v_prediction else clipped / snr


@dataclass(frozen=True)
class Debiased:
    """Loss weight 1 / sqrt(SNR) for a noise-predicting model, 1 / (SNR + 1) for v-prediction, as kohya has it.

    The noisiest timesteps, which decide shapes and colours, count most. Source: Yu et al. 2023, arXiv:2310.08442.
    """

    max_snr: float = key(1000.0, "SNR above which the weight falls no further", above=0)

    def __call__(self, snr: Tensor, prediction: Prediction) -> Tensor:
        """`snr`: (B,), above 0 for epsilon. Returns (B,), above 0."""
        clipped = snr.clamp(max=self.max_snr)
        return 1 / (clipped + 1) if prediction is Prediction.v_prediction else clipped.rsqrt()
