"""Findings on a machine for a run, one for each question. Facts in, findings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from spritelora.commands.doctor.ceiling import Ceiling
from spritelora.shown import duration
from spritelora.training.machine import DeviceFacts

GB10_CAPABILITY = (12, 1)
MANY = 64
"""Sprites of a batch: memory for more says nothing, for no LoRA is trained with more."""
LONG_S = 24 * 3600
"""A run that takes longer is nothing that one starts without a thought."""
GOOD_CEILING = 0.99
"""Share of native pixels that an autoencoder gives back where it does not limit what a LoRA can draw."""


class Verdict(Enum):
    """`note`: the run can go on, but something is to be known. `fails`: it cannot. `untried`: nobody looked."""

    ok = "ok"
    untried = "-"
    note = "note"
    fails = "FAILS"


@dataclass(frozen=True)
class Finding:
    """One row of the table. `advice`: what to do, empty where nothing is."""

    what: str
    found: str
    verdict: Verdict = Verdict.ok
    advice: str = ""


@dataclass(frozen=True)
class Disk:
    """A folder to be written to. `advice`: which key names another."""

    folder: str
    free_gb: float
    needed_gb: float
    advice: str


@dataclass(frozen=True)
class MachineFacts:
    """The facts of a machine. `cuda_build`: the CUDA that torch was built for. `probes`: what bitsandbytes says of each
    part that was tried, empty where it works. `disks`: by what is written. `base_problem`: empty where the base is at
    hand or can be fetched. `vae`: whether the autoencoder's latents are finite, by number format; empty: not tried, see
    `vae_skipped`. `ceiling`: what the autoencoder gives back of the set's sprites, None where it was not tried. `data`:
    what the data set is. `data_problem`: empty where it can be trained on.
    """

    architecture: str
    versions: Mapping[str, str]
    device: DeviceFacts
    cuda_build: str | None
    probes: Mapping[str, str]
    disks: Mapping[str, Disk]
    base: str
    base_problem: str
    wandb: str
    vae: Mapping[str, bool] = field(default_factory=dict)
    vae_skipped: str = ""
    ceiling: Ceiling | None = None
    data: str = ""
    data_problem: str = ""


@dataclass(frozen=True)
class RunNeed:
    """The needs of a run.

    `plan`: its savings. `bnb`: the probes it depends on. `peak_gb`: None where it cannot be predicted. `savings`:
    settings that would save memory, with how many GB. `largest`: largest batch by the plan that allows it. `step_s`,
    `run_s`: seconds of a step and of the whole run, None where they cannot be predicted.
    """

    name: str
    plan: str
    bnb: Sequence[str]
    side_px: int
    peak_gb: float | None = None
    parts_gb: Mapping[str, float] = field(default_factory=dict)
    savings: Sequence[tuple[str, float]] = ()
    largest: Mapping[str, int] = field(default_factory=dict)
    step_s: float | None = None
    run_s: float | None = None


def find_all(facts: MachineFacts, need: RunNeed) -> list[Finding]:
    """Every finding, in the order of the table."""
    return [
        Finding("versions", ", ".join(f"{name} {version}" for name, version in facts.versions.items())),
        *_device(facts),
        *_bitsandbytes(facts, need),
        *_base(facts),
        Finding("data", facts.data, Verdict.fails if facts.data_problem else Verdict.ok, facts.data_problem),
        *_ceiling(facts.ceiling),
        *_memory(facts.device, need),
        _time(need),
        *_disks(facts.disks),
        Finding("W&B", facts.wandb),
        *_largest(need),
    ]


def _device(facts: MachineFacts) -> Iterator[Finding]:
    device = facts.device
    if device.kind == "cpu":
        told = f"CPU ({facts.architecture}), {device.total_gb:.1f} GB, {device.free_gb:.1f} GB free"
        yield Finding("device", told, Verdict.note, "trains model=tiny in minutes; SDXL wants a CUDA GPU")
        if facts.cuda_build is None and facts.architecture != "arm64":  # Apple's chips have no other build
            yield Finding("torch's wheel", "for the CPU alone", Verdict.note, f"with an NVIDIA GPU: {gpu_build(facts)}")
        return
    capability = device.capability or (0, 0)
    memory = "shared with the CPU" if device.is_unified else "its own"
    yield Finding(
        "device",
        f"{device.name} ({facts.architecture}), compute capability {capability[0]}.{capability[1]}, "
        f"{device.total_gb:.1f} GB {memory}, {device.free_gb:.1f} GB free, torch for CUDA {facts.cuda_build}",
    )
    if capability == GB10_CAPABILITY:
        yield Finding("torch's warning", "that it does not know 12.1 is false", Verdict.note, "none: ignore it")
        if _major(facts.cuda_build) < 13:
            yield Finding(
                "torch's wheel", f"for CUDA {facts.cuda_build}, which has no code for 12.1", Verdict.note,
                f"{gpu_build(facts)} (one report: 2.9 times as fast)",
            )  # fmt: skip
    if device.is_unified:
        yield Finding(
            "unified memory", "files in the page cache are in it too, and count twice while they load", Verdict.note,
            "where loading fails: close other programs, or model.path= with one .safetensors file",
        )  # fmt: skip
    if capability < (8, 0):
        yield Finding("arithmetic", "no bf16: fp16 with loss scaling", Verdict.note, "none: it is chosen by itself")


def gpu_build(facts: MachineFacts) -> str:
    """The command that installs the same torch built for CUDA 13."""
    release = facts.versions["torch"].partition("+")[0]
    return f"pip install --upgrade torch=={release} --index-url https://download.pytorch.org/whl/cu130"


def _major(version: str | None) -> int:
    return int((version or "0").partition(".")[0])


def _bitsandbytes(facts: MachineFacts, need: RunNeed) -> Iterator[Finding]:
    advice = "hardware.base=full optim=adamw"
    if facts.architecture == "aarch64":
        advice += "; bitsandbytes has wheels for aarch64 from 0.46 on"
    for part, problem in facts.probes.items():
        if problem:
            fails = Verdict.fails if part in need.bnb else Verdict.note
            yield Finding(f"bitsandbytes {part}", problem, fails, advice)
        else:
            yield Finding(f"bitsandbytes {part}", "a real step works")


def _base(facts: MachineFacts) -> Iterator[Finding]:
    fails = Verdict.fails if facts.base_problem else Verdict.ok
    yield Finding("base", facts.base, fails, facts.base_problem)
    if not facts.vae:
        yield Finding("VAE", f"not tried: {facts.vae_skipped}", Verdict.untried)
        return
    told = ", ".join(f"{name} {'finite' if is_finite else 'NOT finite'}" for name, is_finite in facts.vae.items())
    if not facts.vae["fp32"]:
        yield Finding("VAE", told, Verdict.fails, "fetch the base again, or name a VAE with model.vae=")
    else:
        yield Finding("VAE", f"{told}; encodes in fp32 in any case")


def _ceiling(ceiling: Ceiling | None) -> Iterator[Finding]:
    if ceiling is None:
        return
    found = f"gives back {ceiling.exact:.1%} of the sprites' pixels in their colour, {ceiling.factor} px to each"
    if ceiling.exact >= GOOD_CEILING:
        yield Finding("VAE on the sprites", found)
    else:
        yield Finding(
            "VAE on the sprites", found, Verdict.note,
            "no LoRA draws them sharper; 8 px to a native pixel is safe: raise model.resolution, or draw smaller",
        )  # fmt: skip


def _memory(device: DeviceFacts, need: RunNeed) -> Iterator[Finding]:
    if need.peak_gb is None:
        yield Finding("memory", "not predicted: the base cannot be read", Verdict.untried)
        return
    parts = ", ".join(f"{name} {gb:.1f}" for name, gb in need.parts_gb.items() if gb >= 0.05)
    found = f"{need.peak_gb:.1f} GB predicted ({parts}) with {need.plan}"
    best = "; ".join(f"{setting} saves {gb:.1f} GB" for setting, gb in need.savings[:3])
    if need.peak_gb > device.total_gb:
        yield Finding("memory", f"{found}; there are {device.total_gb:.1f}", Verdict.fails, best or "a larger device")
    elif need.peak_gb > device.free_gb:
        advice = f"close other programs{f', or {best}' if best else ''}"
        yield Finding("memory", f"{found}; only {device.free_gb:.1f} are free now", Verdict.fails, advice)
    else:
        yield Finding("memory", f"{found}; {device.free_gb:.1f} are free")


def _time(need: RunNeed) -> Finding:
    if need.step_s is None or need.run_s is None:
        return Finding("time", "not predicted: base or data cannot be read", Verdict.untried)
    step = f"{need.step_s:.2g} s" if need.step_s < 60 else duration(need.step_s)
    told = f"about {step} a step, {duration(need.run_s)} in all"
    found = f"{told}, by its arithmetic: half or twice that is possible; train measures it"
    if need.run_s < LONG_S:
        return Finding("time", found)
    advice = "too slow here: a faster GPU, or fewer trainer.max_steps and a smaller model.resolution"
    return Finding("time", found, Verdict.note, advice)


def _disks(disks: Mapping[str, Disk]) -> Iterator[Finding]:
    for name, disk in disks.items():
        found = f"{disk.folder}: {disk.free_gb:.1f} GB free, about {disk.needed_gb:.1f} GB needed"
        fails = disk.needed_gb > disk.free_gb
        yield Finding(f"disk for {name}", found, Verdict.fails if fails else Verdict.ok, disk.advice if fails else "")


def _largest(need: RunNeed) -> Iterator[Finding]:
    for plan, batch in need.largest.items():
        found = f"trainer.batch_size={batch} at most" if batch else "does not fit"
        yield Finding(
            f"at {need.side_px} px, {plan}",
            found if batch < MANY else f"any trainer.batch_size up to {MANY}",
            Verdict.ok if batch else Verdict.note,
        )


def to_table(findings: Sequence[Finding]) -> str:
    """The findings as aligned lines, with the advice below those that have any."""
    width = max(len(f.what) for f in findings)
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.verdict.value:5}  {finding.what:{width}}  {finding.found}")
        if finding.advice:
            below = f"\n{'':{width + 11}}"
            lines.append(f"{'':5}  {'':{width}}  -> {finding.advice.replace(chr(10), below)}")
    return "\n".join(lines)


def failures(findings: Sequence[Finding]) -> list[str]:
    """The names of the findings that stop the run."""
    return [finding.what for finding in findings if finding.verdict is Verdict.fails]
