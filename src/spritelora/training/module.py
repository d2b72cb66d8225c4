"""The LightningModule around the UNet and the text encoders that train: what one training step computes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from spritelora.adapters.files.layer_names import whole_path
from spritelora.config.train.schema import Prediction
from spritelora.data.batch import Batch
from spritelora.diffusion.draws import derive_seed
from spritelora.diffusion.losses import Loss, MeanSquared
from spritelora.diffusion.noise import offset_noise
from spritelora.diffusion.objective import Weighting, add_noise, prediction_target, weighted_loss
from spritelora.diffusion.schedule import signal_to_noise
from spritelora.errors import ResumeError
from spritelora.sdxl.files.base import Unet
from spritelora.sdxl.layers.compiling import uncompiled
from spritelora.sdxl.sample import call_unet
from spritelora.sdxl.text import TextEmbedding, TextStack
from spritelora.training.optimizer import settled_weights
from spritelora.training.state_files import State

NamedParameters = list[tuple[str, torch.nn.Parameter]]


class ByTimestep(NamedTuple):
    """Cumulative alphas and weights by timestep, (T,) fp32, on the device of the batch."""

    alphas: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Objective:
    """The parts of the loss. `alphas`: cumulative, (T,) float64. `unmasked_weight`: of cells outside the masks.

    Nothing here waits for a GPU: what depends on the timestep is looked up where the timesteps are.
    """

    alphas: Tensor
    prediction: Prediction
    weighting: Weighting
    noise_offset: float
    adaptive_offset: float = 0.0
    error: Loss = field(default_factory=MeanSquared)
    unmasked_weight: float = 0.0
    _tables: dict[torch.device, ByTimestep] = field(default_factory=dict, init=False, repr=False, compare=False)

    def loss(self, unet: Unet, batch: Batch) -> Tensor:
        """The training loss of a batch, a scalar."""
        alphas, weights = (values[batch.timesteps] for values in self._table(batch.timesteps.device))
        noise = offset_noise(batch.noise, batch.constants, self.noise_offset, batch.latents, self.adaptive_offset)
        errors = self._errors(unet, batch, noise, alphas, self.error)
        masks = batch.masks.to(errors)
        return weighted_loss(errors, masks + (1 - masks) * self.unmasked_weight, weights * batch.weights)

    def plain_loss(self, unet: Unet, batch: Batch) -> Tensor:
        """The unweighted squared error of a batch, comparable between objectives."""
        alphas = self._table(batch.timesteps.device).alphas[batch.timesteps]
        errors = self._errors(unet, batch, batch.noise, alphas, MeanSquared())
        return errors.flatten(1).mean(dim=1).mean()

    def _table(self, device: torch.device) -> ByTimestep:
        if device not in self._tables:
            weights = self.weighting(signal_to_noise(self.alphas), self.prediction)
            self._tables[device] = ByTimestep(*(v.to(device, torch.float32) for v in (self.alphas, weights)))
        return self._tables[device]

    def _errors(self, unet: Unet, batch: Batch, noise: Tensor, alphas: Tensor, error: Loss) -> Tensor:
        dtype = next(unet.parameters()).dtype  # unet.dtype goes through all modules: 4 % of a small model's step
        noisy = add_noise(batch.latents, noise + batch.jitter, alphas)
        conditions = {"text_embeds": batch.pooled.to(dtype), "time_ids": batch.time_ids}
        predicted = call_unet(unet, noisy.to(dtype), batch.timesteps, batch.states.to(dtype), conditions)
        target = prediction_target(batch.latents, noise, alphas, self.prediction)
        return error(predicted.float() - target.float(), batch.timesteps, alphas, len(self.alphas))


class WeightAverage(Protocol):
    """An average of the trained weights that can take their place."""

    def in_place(self, module: Any) -> AbstractContextManager[None]:
        """Within it the module's weights are the average."""
        ...


class LoraModule(pl.LightningModule):
    """Trains the adapters of a frozen UNet and of text encoders, where they are given; its state is the adapters."""

    def __init__(
        self,
        unet: Unet,
        objective: Objective,
        make_optimizer: Callable[[NamedParameters], Optimizer],
        rate_share: Callable[[int], float],
        seed: int,
        text: TextStack | None = None,
    ) -> None:
        super().__init__()
        self.strict_loading = False
        self.unet = unet
        self.objective = objective
        self.make_optimizer = make_optimizer
        self.rate_share = rate_share
        self.seed = seed
        self.text = text
        self.average: WeightAverage | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        accumulate = self.trainer.accumulate_grad_batches
        number = self.trainer.global_step * accumulate + batch_idx % accumulate
        place = number * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(derive_seed(self.seed, "dropout", place))
        return self.objective.loss(self.unet, self.with_text(batch))

    def with_text(self, batch: Batch) -> Batch:
        """The batch with its texts as the encoders are now, where they are trained."""
        if self.text is None:
            return batch
        states, pooled = self.text(batch.tokens)
        return batch._replace(states=states, pooled=pooled)

    def embed(self, texts: Sequence[TextEmbedding]) -> list[TextEmbedding]:
        """Prompts as the encoders are now, where they are trained."""
        return list(texts) if self.text is None else [self.text.encode(text.tokens) for text in texts]

    @property
    def models(self) -> list[torch.nn.Module]:
        """The models with adapters."""
        return [self.unet] if self.text is None else [self.unet, self.text]

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the run."""
        return self.trainer.optimizers[0]

    def result_weights(self) -> AbstractContextManager[None]:
        """Within it the weights are those the run would leave: their average, or those the optimizer settles on."""
        return settled_weights(self.optimizer) if self.average is None else self.average.in_place(self)

    @contextmanager
    def as_result(self) -> Iterator[None]:
        """Within it the models are what the run would leave: without dropout, with the result's weights, uncompiled.

        They compute in the run's precision.
        """
        for model in self.models:
            model.eval()
        with self.result_weights(), uncompiled(self.unet), self.trainer.precision_plugin.forward_context():
            yield
        for model in self.models:
            model.train()

    def trainable(self) -> NamedParameters:
        """The trained parameters by name: `unet.` or `text_encoder.` and the path, the same with every transformers."""
        named = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        return [(whole_path(name.removeprefix("text.")), p) for name, p in named]

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val:  # Lightning's own goes tensor by tensor on a CPU, and refuses fused optimizers in 16 bits
            trained = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(trained, gradient_clip_val, foreach=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.trainable())
        return [optimizer], [{"scheduler": LambdaLR(optimizer, self.rate_share), "interval": "step"}]

    def on_load_checkpoint(self, checkpoint: State) -> None:
        """Count forward passes as this run makes them, for with other processes a step may take another number."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        shift = checkpoint["global_step"] * self.trainer.accumulate_grad_batches - progress["current"]["ready"]
        for counts in (progress["total"], progress["current"]):
            counts.update({name: count + shift for name, count in counts.items()})

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.trainable()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        own = self.state_dict()
        if different := {n for n in own.keys() | state_dict.keys() if _shape(own, n) != _shape(state_dict, n)}:
            raise ResumeError(f"the checkpoint's adapter is another one: {sorted(different)[0]} and more differ")
        for name, tensor in own.items():
            tensor.copy_(state_dict[name])


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None
