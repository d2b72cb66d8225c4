"""A run with each kind of adapter: it trains, resumes exactly, and its file is as strong as the live adapter."""

import logging

import pytest
import torch
from safetensors.torch import load_file

from spritelora.adapters.live import live_delta
from spritelora.adapters.lora import add_lora, lora_layers
from spritelora.adapters.lora_file import read_lora_file
from spritelora.adapters.lowrank import full_delta
from spritelora.config.adapter_keys import AdapterKind
from spritelora.errors import ResumeError
from spritelora.sdxl.base import load_unet
from spritelora.tasks.compare_rows import find_entries, read_row
from tests.conftest import assert_same_tensors, lora_of

RSLORA = ("adapter=rslora", "lora.rank=4", "lora.alpha=3", "optim.lr=0.01", "targets.modules=[to_q,conv1]")


def test_an_rslora_run_resumes_and_its_file_is_as_strong(train_quickly, base, caplog) -> None:
    with caplog.at_level(logging.INFO):
        whole = train_quickly(*RSLORA, "trainer.max_steps=3", name="whole")
    assert "alpha/sqrt(rank) = 1.5; files say alpha 6" in caplog.text
    assert "alpha/rank 1.5" in caplog.text
    begun = train_quickly(*RSLORA, "trainer.max_steps=2", name="begun")
    train_quickly(*RSLORA, "trainer.max_steps=3", f"resume={begun}", name="begun")
    assert_same_tensors(lora_of(whole), lora_of(begun))
    with pytest.raises(ResumeError, match=r"adapter\.kind: rslora -> lora"):
        train_quickly(*RSLORA[1:], "adapter=lora", "trainer.max_steps=4", f"resume={begun}", name="begun")

    lora = read_lora_file(whole / "checkpoint_final" / "lora.safetensors")
    assert lora.metadata["ss_network_alpha"] == "6.0"
    assert '"rank_stabilized": true' in lora.metadata["ss_network_args"]
    for place in (whole, whole / "checkpoint_final" / "lora.safetensors"):
        (entry,) = find_entries([str(place)], [])
        assert read_row(entry, None).cells["alpha_over_rank"] == pytest.approx(1.5)
    state = load_file(whole / "checkpoint_final" / "training_state" / "state.safetensors")
    unet = load_unet(base, torch.float32)
    add_lora(unet, [n.removeprefix("unet.") for n in lora.modules], 4, 3, 0.0, 0, AdapterKind.rslora)
    trained = {n.removeprefix("/state_dict/unet."): t for n, t in state.items() if "state_dict" in n and ".lora_" in n}
    assert not unet.load_state_dict(trained, strict=False).unexpected_keys
    for path, layer in lora_layers(unet).items():
        live = live_delta(layer)
        assert live.any()
        written = full_delta(lora.modules[f"unet.{path}"])
        assert torch.linalg.norm(written - live) <= 2e-3 * torch.linalg.norm(live)
