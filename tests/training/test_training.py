"""The pieces of the loop: one step's loss, 8-bit states, state files, the run's log."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from spritelora.config.train.hardware_keys import Device, Precision
from spritelora.data.batch import Batch
from spritelora.errors import ConfigError, ResumeError, TrainingError
from spritelora.sdxl.latents import time_ids
from spritelora.training.hardware import choose_hardware
from spritelora.training.logs.run_log import RunLog
from spritelora.training.optimizer import build_optimizer, eight_bit_share, probe_optimizer
from spritelora.training.state_files import read_state, write_state

pytestmark = pytest.mark.numeric

SETTINGS = {"lr": 1e-2, "weight_decay": 0.0, "betas": [0.9, 0.999], "arguments": {}}


def given_batch(unet, height: int = 16, width: int = 16) -> Batch:
    """Four samples of latents of that height and width."""
    noise = torch.Generator().manual_seed(0)
    pooled = unet.config.projection_class_embeddings_input_dim - 6 * unet.config.addition_time_embed_dim
    return Batch(
        latents=torch.randn(4, 4, height, width, generator=noise),
        noise=torch.randn(4, 4, height, width, generator=noise),
        constants=torch.randn(4, 4, 1, 1, generator=noise),
        timesteps=torch.tensor([3, 250, 600, 999]),
        states=torch.randn(4, 77, unet.config.cross_attention_dim, generator=noise),
        pooled=torch.randn(4, pooled, generator=noise),
        time_ids=torch.stack([time_ids(8 * height, 8 * width)] * 4),
        indices=torch.arange(4),
    )


def test_8_bit_states_are_8_bit_from_4096_elements_on() -> None:
    from bitsandbytes.optim import AdamW8bit

    sizes = {"small": (63, 65), "just": (64, 64), "large": (200, 64)}
    weights = {name: torch.nn.Parameter(torch.randn(*shape)) for name, shape in sizes.items()}
    optimizer = build_optimizer(AdamW8bit, [(list(weights.values()), 1.0)], **SETTINGS)
    for weight in weights.values():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    kinds = {name: optimizer.state[weight]["state1"].dtype for name, weight in weights.items()}
    assert kinds == {"small": torch.float32, "just": torch.uint8, "large": torch.uint8}
    counts = {name: weight.numel() for name, weight in weights.items()}
    eight_bit = counts["just"] + counts["large"]
    assert eight_bit_share(optimizer) == pytest.approx(eight_bit / sum(counts.values()))
    assert eight_bit_share(build_optimizer(torch.optim.AdamW, [(list(weights.values()), 1.0)], **SETTINGS)) is None


class Idle(torch.optim.SGD):
    def __init__(self, params, lr: float, weight_decay: float, betas: object) -> None:
        super().__init__(params, lr=lr)

    def step(self, closure=None):
        return None


class Broken(Idle):
    def step(self, closure=None):
        raise RuntimeError("no kernel image is available for execution on the device")


@pytest.mark.parametrize(
    ("kind", "message"), [(Idle, "takes no usable step"), (Broken, "no kernel image.*optim=adamw")]
)
def test_an_optimizer_that_does_not_work_here_is_refused(kind: type[torch.optim.Optimizer], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        probe_optimizer(kind, torch.device("cpu"), **SETTINGS)


def test_arguments_an_optimizer_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="AdamW cannot be made"):
        probe_optimizer(torch.optim.AdamW, torch.device("cpu"), **{**SETTINGS, "arguments": {"momentum": 0.9}})
    probe_optimizer(torch.optim.AdamW, torch.device("cpu"), **SETTINGS)


def test_state_files_keep_every_value_to_the_bit(tmp_path: Path) -> None:
    state = {
        "weights": {"a": torch.randn(3, 4), "b": torch.randn(2).to(torch.bfloat16), "byte": torch.arange(3).byte()},
        "optimizer": [{"state": {0: {"step": torch.tensor(7.0), "exact": 0.1 + 0.2}}, "betas": (0.9, 0.999)}],
        "nothing": None,
        "flag": True,
        "empty": {},
        "float": float("inf"),
    }
    write_state(state, tmp_path / "state")
    back = read_state(tmp_path / "state")
    assert torch.equal(back["weights"]["a"], state["weights"]["a"])
    assert torch.equal(back["weights"]["b"], state["weights"]["b"])
    assert torch.equal(back["optimizer"][0]["state"][0]["step"], torch.tensor(7.0))
    assert back["optimizer"][0]["state"][0]["exact"] == 0.1 + 0.2
    assert back["optimizer"][0]["betas"] == (0.9, 0.999)
    assert (back["nothing"], back["flag"], back["empty"], back["float"]) == (None, True, {}, float("inf"))


def test_state_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="training state '/callback/path' is a PosixPath"):
        write_state({"callback": {"path": Path("x")}}, tmp_path)


def test_damaged_and_pickled_state_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    folder = tmp_path / "state"
    write_state({"x": torch.ones(3)}, folder)
    for file, content in (("state.safetensors", pickle.dumps(Evil())), ("state.json", b"{"), ("state.json", b"[1]")):
        write_state({"x": torch.ones(3)}, folder)
        (folder / file).write_bytes(content)
        with pytest.raises(ResumeError, match="damaged training state"):
            read_state(folder)
    assert not (tmp_path / "executed").exists()


def test_the_log_drops_what_comes_again_and_half_a_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path, None, resumed_at=0)
    for step in range(1, 6):
        log.log(step, {"loss": 1 / step})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 6, "lo')
    again = RunLog(tmp_path, None, resumed_at=3)
    again.log(4, {"loss": 0.5})
    again.write_summary("finished", 4)
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    summary = json.loads((tmp_path / "training_metrics.json").read_text())
    assert summary["series"]["loss"] == [[1, 1.0], [2, 0.5], [3, 1 / 3], [4, 0.5]]
    assert summary["values"]["loss"] == {"first": 1.0, "last": 0.5}


def test_the_summary_is_json_even_with_a_loss_that_is_no_number(tmp_path: Path) -> None:
    log = RunLog(tmp_path, None, resumed_at=0)
    log.log(1, {"loss": float("nan")})
    log.write_summary("running", 1)
    assert json.loads((tmp_path / "training_metrics.json").read_text())["series"]["loss"] == [[1, None]]


def test_precision_follows_the_device() -> None:
    cpu = choose_hardware(Device.cpu, Precision.auto)
    assert (cpu.precision, cpu.base_dtype) == (Precision.fp32, torch.float32)
    assert choose_hardware(Device.cpu, Precision.mixed16).precision is Precision.bf16
    with pytest.raises(ConfigError, match="precision=fp16 needs a GPU"):
        choose_hardware(Device.cpu, Precision.fp16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="device=cuda: torch sees no CUDA device"):
        choose_hardware(Device.cuda, Precision.auto)
