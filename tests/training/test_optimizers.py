"""Every optimizer on offer: it lowers a loss, its state goes to disk and back, and it says where it cannot run."""

import sys
from functools import cache

import pytest
import torch
from torch.optim import Optimizer

from spritelora.adapters.layers.lora import is_up
from spritelora.commands.train.assemble import rate_factors
from spritelora.config.command_line import list_groups
from spritelora.config.train.hardware_keys import Precision
from spritelora.config.train.loop_keys import OptimConfig
from spritelora.errors import ConfigError
from spritelora.training.optimizer import (
    base_rate,
    build_optimizer,
    find_optimizer,
    group_by_rate,
    optimizer_settings,
    probe_optimizer,
    settled_weights,
)
from spritelora.training.state_files import read_state, write_state
from tests.bounds import assert_within, rounding
from tests.composing import compose
from tests.conftest import ROOT

pytestmark = pytest.mark.numeric

OPTIONS = [o for o in list_groups(ROOT / "conf")["optim"] if o != "paged_adamw8bit"]
CPU = torch.device("cpu")


def new_weights() -> list[torch.nn.Parameter]:
    source = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(*shape, generator=source)) for shape in ((96, 64), (7,))] + [
        torch.nn.Parameter(torch.zeros(64, 8))  # as LoRA's up weights start
    ]


@cache
def settings(option: str) -> OptimConfig:
    return compose(f"optim={option}").optim


def make(option: str, weights: list[torch.nn.Parameter], **changes: object) -> Optimizer:
    optim = settings(option)
    arguments = {**optimizer_settings(optim, Precision.fp32), **changes}
    return build_optimizer(find_optimizer(optim), [(weights, 1.0)], **arguments)


def loss_of(weights: list[torch.nn.Parameter]) -> torch.Tensor:
    return sum((((w - 0.5) ** 2).sum() for w in weights), torch.zeros(()))


def take_steps(weights: list[torch.nn.Parameter], optimizer: Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(weights).backward()
        optimizer.step()


@pytest.mark.parametrize("option", OPTIONS)
def test_an_optimizer_goes_on_from_its_state_on_disk_to_the_bit(option: str, tmp_path) -> None:
    weights = new_weights()
    optimizer = make(option, weights)
    take_steps(weights, optimizer, 3)
    write_state({"weights": [w.detach() for w in weights], "optimizer": optimizer.state_dict()}, tmp_path)
    take_steps(weights, optimizer, 3)

    state, others = read_state(tmp_path), new_weights()
    again = make(option, others)
    for weight, value in zip(others, state["weights"], strict=True):
        weight.data.copy_(value)
    again.load_state_dict(state["optimizer"])
    take_steps(others, again, 3)
    assert all(torch.equal(a, b) for a, b in zip(weights, others, strict=True))


@pytest.mark.parametrize("option", OPTIONS)
def test_an_optimizer_lowers_a_loss_at_its_own_rate(option: str) -> None:
    probe_optimizer(type(make(option, new_weights())), CPU, **optimizer_settings(settings(option), Precision.fp32))
    weights = new_weights()
    before = loss_of(weights).item()
    optimizer = make(option, weights)
    take_steps(weights, optimizer, 60)
    with settled_weights(optimizer):
        assert loss_of(weights).item() < 0.93 * before


def test_lion_moves_every_weight_by_its_rate() -> None:
    weights = new_weights()
    before = [w.detach().clone() for w in weights]
    take_steps(weights, make("lion", weights, weight_decay=0.0, lr=0.01), 1)
    for weight, old in zip(weights, before, strict=True):
        assert_within(weight - old, -0.01 * (old - 0.5).sign(), rounding(4) * (old.abs() + 0.01))


def test_settled_weights_are_the_average_and_training_goes_on_from_the_same_bits() -> None:
    weights = new_weights()
    optimizer = make("schedulefree", weights)
    take_steps(weights, optimizer, 5)
    trained = [w.detach().clone() for w in weights]
    beta = optimizer.param_groups[0]["betas"][0]
    with settled_weights(optimizer):
        for weight, old in zip(weights, trained, strict=True):
            z = optimizer.state[weight]["z"]
            expected = (old.double() - (1 - beta) * z) / beta  # y = (1 - beta) z + beta x
            assert_within(weight, expected, rounding(6) * (old.abs() + z.abs()) / beta)
            assert not torch.equal(weight, old)
    assert all(torch.equal(a, b) for a, b in zip(weights, trained, strict=True))
    take_steps(weights, optimizer, 1)


def test_other_optimizers_leave_the_weights_settled() -> None:
    weights = new_weights()
    optimizer = make("adamw", weights)
    take_steps(weights, optimizer, 2)
    trained = [w.detach().clone() for w in weights]
    with settled_weights(optimizer):
        assert all(torch.equal(a, b) for a, b in zip(weights, trained, strict=True))


def test_prodigys_rate_is_the_one_it_found() -> None:
    weights = new_weights()
    optimizer = make("prodigy", weights)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    take_steps(weights, optimizer, 20)
    assert base_rate(optimizer) == optimizer.param_groups[0]["d"] > 1e-6


def test_paging_on_a_cpu_is_refused() -> None:
    optim = settings("paged_adamw8bit")
    with pytest.raises(ConfigError, match=r"PagedAdamW8bit pages its states .* CPU.*take optim=adamw8bit"):
        probe_optimizer(find_optimizer(optim), CPU, **optimizer_settings(optim, Precision.fp32))


@pytest.mark.parametrize(("option", "package"), [("prodigy", "prodigyopt"), ("schedulefree", "schedulefree")])
def test_a_missing_package_is_named_with_its_command(option: str, package: str, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"optim\._target_.*{package}.*pip install 'spritelora\[optimizers\]'"):
        compose(f"optim={option}")


@pytest.mark.parametrize("target", ["transformers.optimization.get_scheduler", "os.system"])
def test_only_optimizers_are_trusted(target: str) -> None:
    with pytest.raises(ConfigError, match="not among the trusted targets"):
        compose(f"optim._target_={target}")


def test_rates_follow_the_model() -> None:
    assert settings("lion").lr == pytest.approx(8e-4)
    assert compose("model=sdxl", "optim=lion8bit").optim.lr == 2e-5


@pytest.mark.parametrize("option", [o for o in OPTIONS if o != "prodigy"])
def test_lora_plus_trains_the_up_matrices_as_that_many_times_the_rate_would(option: str) -> None:
    """Equal to the bit to an optimizer of these parameters alone at 16 times the rate; the logged rate stays A's."""
    rate = 16 * settings(option).lr
    together = dict(zip(("x.lora_B.default.weight", "x.lora_A.default.weight"), new_weights(), strict=False))
    groups = group_by_rate(together.items(), lambda name: 16.0 if is_up(name) else 1.0)
    optim = settings(option)
    optimizer = build_optimizer(find_optimizer(optim), groups, **optimizer_settings(optim, Precision.fp32))
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    assert base_rate(optimizer) == optim.lr
    take_steps(list(together.values()), optimizer, 3)
    for weight, start, own_rate in zip(together.values(), new_weights(), (rate, optim.lr), strict=False):
        take_steps([start], make(option, [start], lr=own_rate), 3)
        assert torch.equal(weight, start)


def test_lora_plus_is_refused_where_there_is_one_rate_or_no_up_matrix() -> None:
    plus = compose("optim=prodigy", "optim.lora_plus=16")
    optim = plus.optim
    with pytest.raises(ConfigError, match=r"Prodigy finds one rate for all .* can have 16 times.*optim=adamw"):
        probe_optimizer(find_optimizer(optim), CPU, rate_factors(plus), **optimizer_settings(optim, Precision.fp32))
    with pytest.raises(ConfigError, match=r"optim\.lora_plus=16 .* adapter=lokr has none"):
        rate_factors(compose("adapter=lokr", "optim.lora_plus=16"))
    assert rate_factors(compose("adapter=dora", "optim.lora_plus=4")) == [1.0, 4.0]
