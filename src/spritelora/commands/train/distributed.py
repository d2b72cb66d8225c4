"""The processes of a run as one team: opened, lost, and as Lightning's DDP sees them."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy

from spritelora.config.train.processes import Place
from spritelora.data.rendezvous import Wait, join
from spritelora.data.team import Team
from spritelora.errors import LostConnection, SpriteLoraError
from spritelora.runs.resume import way_on
from spritelora.streams import complain

log = logging.getLogger(__name__)


@contextmanager
def open_team(place: Place, device: torch.device, join_timeout: str, run_dir: Path) -> Iterator[Team]:
    """The processes of the run, joined; they part with the block.

    Raises LostConnection where another has gone, and the errors of the block, which say whose they are.
    """
    if place.size == 1:
        yield Team(place)
        return
    try:
        team = Team(place, join(place, device, Wait(join_timeout, _tell(place))))
        yield team
        team.meet(None)
        dist.destroy_process_group()
    except Exception as error:
        if is_lost_connection(error):
            raise LostConnection(
                f"the connection to another process of the run was lost (torchrun or Slurm says which ended); "
                f"{way_on(run_dir)}"
            ) from error
        if isinstance(error, SpriteLoraError) and place.rank > 0:
            raise type(error)(f"process {place.rank}: {error}") from error
        raise


class TeamEnvironment(ClusterEnvironment):
    """Tells Lightning what the run knows of its processes, which are all there."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    @staticmethod
    def detect() -> bool:
        return True

    def world_size(self) -> int:
        return self.place.size

    def set_world_size(self, size: int) -> None:
        assert size == self.place.size

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self.place.rank

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return self.place.rank // self.place.local_size


class TeamStrategy(DDPStrategy):
    """Lightning's DDP among processes that run already; what is frozen is not sent around."""

    def _configure_launcher(self) -> None:
        """None: it would set the number of threads too."""

    def _setup_model(self, model: torch.nn.Module) -> torch.nn.parallel.DistributedDataParallel:
        frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
        frozen += [name for name, _ in model.named_buffers()]
        torch.nn.parallel.DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen)
        return super()._setup_model(model)


def _tell(place: Place) -> Callable[[str], None]:
    """A function that says a line: the log is the first process's alone."""
    return log.warning if place.rank == 0 else complain


def is_lost_connection(error: Exception) -> bool:
    """Whether a collective operation failed because another process has gone."""
    return isinstance(error, dist.DistError) or bool(
        isinstance(error, RuntimeError) and re.search(r"gloo|NCCL|Connection (closed|reset)", str(error))
    )
