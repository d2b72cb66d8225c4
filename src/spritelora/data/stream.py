"""The LightningDataModule over encoded sprites: an endless, stateless stream that can start anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset

from spritelora.data.batch import Batch, Recipe, training_batch
from spritelora.data.encoded import EncodedSet


@dataclass(frozen=True)
class BatchStream(IterableDataset[Batch]):
    """Training batches from number `start` on; process `rank` of `world_size` takes its share of each.

    `accumulate`: batches of a step, of each process.
    """

    encoded: EncodedSet
    seed: int
    batch_size: int
    num_timesteps: int
    start: int
    rank: int
    world_size: int
    recipe: Recipe = field(default_factory=Recipe)
    accumulate: int = 1

    def __iter__(self) -> Iterator[Batch]:
        number, samples_a_step = self.start, self.batch_size * self.world_size * self.accumulate
        while True:
            first = (number * self.world_size + self.rank) * self.batch_size
            positions = range(first, first + self.batch_size)
            yield training_batch(self.encoded, self.seed, positions, self.num_timesteps, self.recipe, samples_a_step)
            number += 1


class SpriteData(pl.LightningDataModule):
    """Feeds training from encoded sprites; after a resume, from the batch that comes next."""

    def __init__(
        self, encoded: EncodedSet, seed: int, batch_size: int, num_timesteps: int, recipe: Recipe | None = None
    ) -> None:
        super().__init__()
        self.encoded, self.seed, self.batch_size, self.num_timesteps = encoded, seed, batch_size, num_timesteps
        self.recipe = recipe or Recipe()

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.trainer is not None
        accumulate = self.trainer.accumulate_grad_batches
        place = (self.trainer.global_step * accumulate, self.trainer.global_rank, self.trainer.world_size)
        settings = (self.seed, self.batch_size, self.num_timesteps)
        stream = BatchStream(self.encoded, *settings, *place, self.recipe, accumulate)
        return DataLoader(stream, batch_size=None)
