"""The doctor: facts in, findings out; and the command on this machine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from spritelora.commands.doctor.ceiling import Ceiling
from spritelora.commands.doctor.findings import (
    Disk,
    Finding,
    MachineFacts,
    RunNeed,
    Verdict,
    failures,
    find_all,
    to_table,
)
from spritelora.commands.doctor.memory_need import geometry_of
from spritelora.config.commands.doctor import in_own_folder
from spritelora.errors import ConfigError
from spritelora.training.machine import DeviceFacts
from spritelora.training.memory.need import FULL_SIZE
from tests.documents import Outcome, run_in

GPU = DeviceFacts("cuda", "NVIDIA GeForce RTX 4070", 12.0, 11.0, (8, 9))
SPARK = DeviceFacts("cuda", "NVIDIA GB10", 128.0, 110.0, (12, 1), is_unified=True)
FACTS = MachineFacts(
    architecture="x86_64",
    versions={"torch": "2.11.0"},
    device=GPU,
    cuda_build="13.0",
    probes={"nf4": "", "int8": "", "optimizer": ""},
    disks={"checkpoints": Disk("outputs", 50.0, 4.0, "output= on another disk")},
    base="/models/sdxl",
    base_problem="",
    wandb="no API key",
    vae={"fp32": True, "bf16": True, "fp16": False},
)
NEED = RunNeed(
    name="sdxl, 1024 px, batch 2, rank 32",
    plan="hardware.base=nf4 hardware.gradient_checkpointing=true",
    peak_gb=5.7,
    parts_gb={"base": 1.86, "activations": 1.4},
    bnb=["nf4", "optimizer"],
    savings=[("model.resolution=512", 2.5)],
    largest={"hardware.base=nf4": 6, "hardware.base=full": 0, "hardware.base=int8": 1419},
    side_px=1024,
    step_s=1.5,
    run_s=4500.0,
)


def row(facts: MachineFacts, need: RunNeed, what: str) -> Finding:
    (found,) = (f for f in find_all(facts, need) if f.what == what)
    return found


def test_a_machine_where_all_is_well_has_no_failures() -> None:
    findings = find_all(FACTS, NEED)
    assert failures(findings) == []
    assert all((f.verdict is Verdict.ok) == ("does not fit" not in f.found) for f in findings)
    table = to_table(findings)
    assert "compute capability 8.9, 12.0 GB its own, 11.0 GB free, torch for CUDA 13.0" in table
    assert "5.7 GB predicted (base 1.9, activations 1.4) with hardware.base=nf4" in table
    assert "fp32 finite, bf16 finite, fp16 NOT finite; encodes in fp32 in any case" in table
    assert "trainer.batch_size=6 at most" in table
    assert "does not fit" in table
    assert "any trainer.batch_size up to 64" in table
    assert "1419" not in table
    assert "about 1.5 s a step, 1 h 15 min in all" in table


@pytest.mark.parametrize(
    ("change", "what", "advice"),
    [
        ({"device": replace(GPU, total_gb=5.0, free_gb=4.9)}, "memory", "model.resolution=512 saves 2.5 GB"),
        ({"device": replace(GPU, free_gb=3.0)}, "memory", "close other programs, or model.resolution=512 saves 2.5 GB"),
        ({"disks": {"checkpoints": Disk("outputs", 1.0, 4.0, "output= on another disk")}}, "disk for checkpoints",
         "output= on another disk"),
        ({"base_problem": "model.path=FOLDER"}, "base", "model.path=FOLDER"),
        ({"probes": {"nf4": "no kernel"}}, "bitsandbytes nf4", "hardware.base=full optim=adamw"),
        ({"vae": {"fp32": False}}, "VAE", "fetch the base again, or name a VAE with model.vae="),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_named_with_what_to_do(change: dict, what: str, advice: str) -> None:
    facts = replace(FACTS, **change)
    assert failures(find_all(facts, NEED)) == [what]
    assert row(facts, NEED, what).advice == advice


def test_what_the_run_does_not_use_may_fail() -> None:
    facts = replace(FACTS, probes={"nf4": "no kernel", "int8": "no kernel"})
    assert failures(find_all(facts, replace(NEED, bnb=[]))) == []
    assert row(facts, replace(NEED, bnb=[]), "bitsandbytes int8").verdict is Verdict.note


def test_gb10_is_told_about_wheels_warnings_and_shared_memory() -> None:
    facts = replace(FACTS, architecture="aarch64", device=SPARK, cuda_build="12.8", probes={"nf4": "no wheel"})
    assert "128.0 GB shared with the CPU" in row(facts, NEED, "device").found
    assert "false" in row(facts, NEED, "torch's warning").found
    assert "whl/cu130" in row(facts, NEED, "torch's wheel").advice
    assert "count twice" in row(facts, NEED, "unified memory").found
    assert "wheels for aarch64 from 0.46 on" in row(facts, NEED, "bitsandbytes nf4").advice
    whats = [f.what for f in find_all(replace(facts, cuda_build="13.0"), NEED)]
    assert "torch's wheel" not in whats


def test_old_gpus_cpus_and_untried_parts_are_told() -> None:
    old = replace(FACTS, device=replace(GPU, capability=(7, 5)), vae={}, vae_skipped="the base is not here")
    assert "fp16 with loss scaling" in row(old, NEED, "arithmetic").found
    untried = row(old, NEED, "VAE")
    assert (untried.found, untried.verdict) == ("not tried: the base is not here", Verdict.untried)
    for what, need in (("memory", replace(NEED, peak_gb=None)), ("time", replace(NEED, run_s=None))):
        assert row(FACTS, need, what).verdict is Verdict.untried
    cpu = replace(FACTS, device=DeviceFacts("cpu", "CPU", 25.0, 20.0))
    built_for_it = replace(cpu, cuda_build=None, versions={"torch": "2.13.0+cpu"})
    told = row(built_for_it, NEED, "torch's wheel")
    assert told.advice.endswith(
        "pip install --upgrade torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"
    )
    for no_other in (cpu, replace(built_for_it, architecture="arm64")):
        assert "torch's wheel" not in [f.what for f in find_all(no_other, NEED)]
    assert row(cpu, NEED, "device").verdict is Verdict.note


def test_sprites_that_the_autoencoder_blurs_are_told_with_what_would_help() -> None:
    assert [f for f in find_all(FACTS, NEED) if f.what == "VAE on the sprites"] == []
    sharp = row(replace(FACTS, ceiling=Ceiling(8, 0.999, 0.001)), NEED, "VAE on the sprites")
    assert (sharp.verdict, sharp.advice) == (Verdict.ok, "")
    blurred = row(replace(FACTS, ceiling=Ceiling(4, 0.66, 0.1)), NEED, "VAE on the sprites")
    assert blurred.verdict is Verdict.note
    assert "66.0%" in blurred.found
    assert "model.resolution" in blurred.advice


def test_a_sweep_is_not_looked_at() -> None:
    with pytest.raises(ConfigError, match="the doctor looks at one run: leave out -m"):
        in_own_folder(["lora=rank8,rank16"], is_multirun=True)


def doctor(folder: Path, *overrides: str) -> Outcome:
    return run_in(folder, ["python", "scripts/doctor.py", f"data.cache={folder / 'cache'}", *overrides])


def test_the_doctor_ends_with_a_verdict_and_leaves_nothing(tmp_path: Path) -> None:
    outcome = doctor(tmp_path)
    assert outcome.status == 0, outcome.printed
    assert "this run can be trained here: the embedded base, 128 px, batch 8, rank 8" in outcome.printed
    assert "gives back 100.0% of the sprites' pixels in their colour, 8 px to each" in outcome.printed
    assert re.search(r"ok +time +about .* s a step, .* in all", outcome.printed)
    assert {p.name for p in tmp_path.iterdir()} <= {"cache", "outputs"}
    assert not [p for p in (tmp_path / "outputs").rglob("*") if p.is_file()]


def test_a_base_that_is_yet_to_be_fetched_has_the_geometry_of_sdxl(tmp_path: Path) -> None:
    assert geometry_of("stabilityai/stable-diffusion-xl-base-1.0", None) is FULL_SIZE
    assert geometry_of(str(tmp_path), None) is None  # it is here, and cannot be read


@pytest.mark.slow  # SDXL is traced
def test_a_base_that_is_nowhere_fails(tmp_path: Path) -> None:
    outcome = doctor(tmp_path, "model.path=nobody/nothing")
    assert outcome.status == 1
    assert re.search(r"ok +memory +[\d.]+ GB predicted", outcome.printed)  # of SDXL, whose geometry is known
    assert re.search(r"ok +time +about .* s a step, .* in all", outcome.printed)
    assert re.search(r"- +VAE +not tried: the base is not here", outcome.printed)
    assert "neither here nor to be had from the hub" in outcome.printed
    assert "error: nobody/nothing, 1024 px, batch 8, rank 8 cannot be trained here: base" in outcome.printed
