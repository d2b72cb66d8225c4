"""The needs of a sweep's launcher and sweeper: their packages, and for jobs side by side a GPU each."""

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psutil
from omegaconf import DictConfig

from spritelora.errors import ConfigError
from spritelora.file_names import safe_name
from spritelora.locks import LockedError, held

log = logging.getLogger(__name__)

EXTRAS = {
    "hydra/launcher=joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
    "hydra/launcher=submitit_local": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "hydra/launcher=submitit_slurm": ("slurm", "hydra_plugins.hydra_submitit_launcher"),
    "hydra/launcher=ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
    "hydra/sweeper=optuna": ("optuna", "optuna"),
}
"""Option to our extra and the package that it brings."""

JOBS_WITHOUT_GPU = 2


def check_extras(options: Mapping[str, str]) -> None:
    """Raise ConfigError where packages of a launcher or sweeper are not installed. `options`: of groups by name."""
    for group, option in options.items():
        extra, package = EXTRAS.get(f"{group}={option}", (None, ""))
        if extra is not None and find_spec(package) is None:
            raise ConfigError(
                f"{group}={option} needs a package that is not installed: pip install 'spritelora[{extra}]' "
                f"(in a copy of the repository: pip install -c constraints.txt -e '.[{extra}]')"
            )


def check_jobs_at_once(hydra: DictConfig, device: str) -> None:
    """Raise ConfigError where joblib would start more jobs at once than there are GPUs. `device`: as configured."""
    gpus = visible_gpus()
    if hydra.runtime.choices["hydra/launcher"] != "joblib" or not gpus or device == "cpu":
        return
    num_jobs = hydra.launcher.n_jobs
    if not 1 <= num_jobs <= len(gpus):
        raise ConfigError(
            f"hydra.launcher.n_jobs={num_jobs}: each job gets a GPU of its own, and there are {len(gpus)}: leave it "
            f"out, or add hardware=cpu"
        )


def jobs_at_once() -> int:
    """The number of jobs that joblib runs side by side: one for each GPU, two on a machine without."""
    return len(visible_gpus()) or JOBS_WITHOUT_GPU


def gpus_per_job() -> int:
    """The GPUs to ask Ray for: without asking it hides them all."""
    return 1 if visible_gpus() else 0


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs this process may use, by number or id; without torch, which is slow to import."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name for name in told.split(",") if name.strip() not in ("", "-1")]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split()


_held: ExitStack | None = None


def hold_gpu(folder: Path | None = None) -> None:
    """Let this process see one GPU, that no other job side by side has; wait for one where all are taken.

    It is held until the process ends, for CUDA does not change its device. `folder`: of the claims; unset: one of the
    user's for the whole machine.
    """
    global _held
    gpus = visible_gpus()
    if _held is not None or not gpus:
        return
    folder = folder or Path(tempfile.gettempdir()) / safe_name(f"spritelora-gpus-{psutil.Process().username()}")
    folder.mkdir(exist_ok=True)
    has_told = False
    while True:
        for gpu in gpus:
            claim = ExitStack()
            try:
                claim.enter_context(held(folder / safe_name(gpu)))
            except LockedError:
                continue
            _held = claim
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
            return
        if not has_told:
            log.info("all %d GPUs are taken by other jobs: waiting for one", len(gpus))
            has_told = True
        time.sleep(1)
