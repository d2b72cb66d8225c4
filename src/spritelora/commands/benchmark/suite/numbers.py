"""Whether the device computes what it should, on the embedded base: each part beside a CPU or a definition."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from spritelora.commands.benchmark.random_inputs import random_set, random_text
from spritelora.commands.benchmark.suite.parts import PAGED, Figures, Setting
from spritelora.commands.benchmark.training import (
    adapted_unet,
    make_module,
    open_unet,
    run_loop,
)
from spritelora.config.commands.benchmark import BenchmarkConfig, BenchmarkOptim
from spritelora.config.train.hardware_keys import BaseFormat, Device, Precision
from spritelora.errors import TrainingError
from spritelora.training.hardware import Hardware, choose_hardware

STEPS, SMALL_STEPS = 20, 10
SIDE_PX = 128
ROUNDOFF = {Precision.fp32: 2.0**-24, Precision.bf16: 2.0**-8, Precision.fp16: 2.0**-11}
"""Unit roundoff of each format: half the distance from 1 to the next number."""


class LossLog(pl.Callback):
    """The training loss of each step, in the order of the steps."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


def of_embedded_base(setting: Setting, device: Device | None = None, **changes: Any) -> BenchmarkConfig:
    """Settings of a short training of the embedded base at a small batch."""
    steps = SMALL_STEPS if setting.is_small else STEPS
    plain = BenchmarkConfig(model="tiny", batch_size=4, rank=8, rounds=1, warmup=1, steps=steps - 1)
    return replace(plain, device=device or setting.config.device, threads=setting.config.threads, **changes)


def losses_of(config: BenchmarkConfig) -> list[float]:
    """The losses of the steps, the same sprites, captions and noise each time."""
    hardware = choose_hardware(config.device, config.precision)
    unet = adapted_unet(config, hardware)
    log, encoded = LossLog(), random_set(dict(unet.config), SIDE_PX)
    run_loop(make_module(unet, config), encoded, hardware, config, [log])
    return log.losses


def precision(setting: Setting) -> Figures:
    """Losses of the same steps in each format, beside fp32 on the CPU."""
    exact = losses_of(of_embedded_base(setting, Device.cpu, precision=Precision.fp32))
    hardware = choose_hardware(setting.config.device, Precision.auto)
    is_cuda = hardware.device.type == "cuda"
    formats = [*([Precision.fp32, Precision.fp16] if is_cuda else []), Precision.bf16]
    figures: Figures = {"loss_first": exact[0], "loss_last": exact[-1]}
    depth = rounded_depth(open_unet("tiny", choose_hardware(Device.cpu, Precision.fp32)))
    for one in formats:
        losses = losses_of(of_embedded_base(setting, precision=one))
        figures[one.value] = beside(losses, exact, ROUNDOFF[one], depth)
    if not is_cuda:
        figures["fp16"] = "needs a card: a CPU trains in fp32 and bf16 alone"
    return figures


def rounded_depth(unet: nn.Module) -> int:
    """Layers whose output is rounded between the input and the output of a UNet."""
    return sum(1 for m in unet.modules() if not any(m.children()) and any(True for _ in m.parameters()))


def beside(losses: list[float], exact: list[float], roundoff: float, depth: int) -> Figures:
    """The largest difference of losses, and the bound that the format gives it.

    Each of `depth` layers adds an error of the relative size `roundoff` to the prediction p, independent of the others:
    rms(e) = roundoff sqrt(depth) rms(p). The loss L is the mean square of p minus noise of rms 1, so rms(p) is at most
    1 + sqrt(L), and by Cauchy and Schwarz L changes by at most 2 sqrt(L) rms(e) + rms(e)^2.
    """
    shares: list[float] = []
    for ours, true in zip(losses, exact, strict=True):
        error = roundoff * math.sqrt(depth) * (1 + math.sqrt(true))
        shares.append(abs(ours - true) / (2 * math.sqrt(true) * error + error**2))
    difference = max(abs(a - b) / b for a, b in zip(losses, exact, strict=True))
    finite = all(math.isfinite(loss) for loss in losses)
    return {"relative_difference": difference, "share_of_bound": max(shares), "holds": finite and max(shares) <= 1}


def optimizers(setting: Setting) -> Figures:
    """Losses with 8-bit and paged states beside 32-bit ones, and that beside how far training moved the loss."""
    hardware = choose_hardware(setting.config.device, Precision.auto)
    figures: Figures = {}
    states: dict[str, Any] = {"rank": 64}  # from 4,096 elements on bitsandbytes keeps states in 8 bits
    plain = losses_of(of_embedded_base(setting, **states))
    figures["adamw"] = {"loss_last": plain[-1]}
    for kind in (BenchmarkOptim.adamw8bit, BenchmarkOptim.paged_adamw8bit):
        if kind is BenchmarkOptim.paged_adamw8bit and hardware.device.type == "cpu":
            figures[kind.value] = f"needs a card: {PAGED}"
            continue
        losses = losses_of(of_embedded_base(setting, optim=kind, **states))
        moved = max(abs(a - plain[0]) for a in plain)
        difference = max(abs(a - b) for a, b in zip(losses, plain, strict=True))
        figures[kind.value] = {"loss_last": losses[-1], "difference": difference, "share_of_change": difference / moved}
    return figures


def quantised(setting: Setting) -> Figures:
    """Weights in NF4 and int8 beside their definition in fp64, and one layer's product with them."""
    from spritelora.sdxl.layers.quantised import pack, quantised_layer

    hardware = choose_hardware(setting.config.device, Precision.auto)
    device, dtype = hardware.device, hardware.base_dtype
    source = torch.Generator().manual_seed(0)
    weight = torch.randn(256, 512, generator=source)
    inputs = torch.randn(64, 512, generator=source).to(device, dtype)
    figures: Figures = {}
    for base_format, definition in ((BaseFormat.nf4, defined_nf4), (BaseFormat.int8, defined_int8)):
        layer = nn.Linear(512, 256, bias=False, device=torch.device("meta"))
        made = quantised_layer(layer, pack(weight.to(device, dtype), base_format), base_format, dtype)
        defined = definition(weight.to(dtype).double())
        product = inputs.double().cpu() @ defined.T
        ours = made(inputs).double().cpu()
        figures[base_format.value] = {
            "product_off": float((ours - product).norm() / product.norm()),
            "weight_off": float((defined - weight.double()).norm() / weight.double().norm()),
        }
    return figures


NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The values of a 4-bit normal float: Dettmers et al. 2023, arXiv:2305.14314, appendix E."""


def defined_nf4(weight: Tensor, block: int = 64) -> Tensor:
    """Each weight as the nearest NF4 value times its block's largest magnitude, scales unrounded. (out, in) fp64."""
    blocks = weight.reshape(-1, block)
    scales = blocks.abs().amax(1, keepdim=True)
    values = torch.tensor(NF4, dtype=torch.float64)
    codes = ((blocks / scales)[..., None] - values).abs().argmin(-1)
    return (values[codes] * scales).view_as(weight)


def defined_int8(weight: Tensor) -> Tensor:
    """Each weight as the nearest 127th of its row's largest magnitude. (out, in) fp64."""
    scales = weight.abs().amax(1, keepdim=True) / 127
    return (weight / scales).round() * scales


def one_pass(unet: Any, hardware: Hardware, config: BenchmarkConfig) -> tuple[float, Tensor]:
    """Loss and gradients of one batch, the gradients as one vector in fp64 on the CPU."""
    from spritelora.data.batch import Batch, training_batch
    from spritelora.diffusion.schedule import NUM_TIMESTEPS

    module = make_module(unet, config).to(hardware.device)
    batch = training_batch(random_set(dict(unet.config), SIDE_PX), 0, range(config.batch_size), NUM_TIMESTEPS)
    moved = Batch(*(t.to(hardware.device) for t in batch))
    is_16_bit = hardware.base_dtype != torch.float32
    with torch.autocast(hardware.device.type, hardware.base_dtype, is_16_bit, cache_enabled=False):
        loss = module.objective.loss(unet, moved)
    loss.backward()
    gradients = [p.grad.double().flatten().cpu() for _, p in module.trainable() if p.grad is not None]
    module.zero_grad()
    return float(loss.detach()), torch.cat(gradients)


def difference_of(one: tuple[float, Tensor], other: tuple[float, Tensor]) -> Figures:
    """The relative difference of two losses and of two gradients."""
    return {
        "loss_off": abs(one[0] - other[0]) / abs(other[0]),
        "gradient_off": float((one[1] - other[1]).norm() / other[1].norm()),
    }


def compiled(setting: Setting) -> Figures:
    """Loss and gradients of compiled blocks beside plain ones."""
    import time

    from spritelora.sdxl.layers.compiling import compile_blocks, compiler_errors

    config = of_embedded_base(setting)
    hardware = choose_hardware(config.device, config.precision)
    unet = adapted_unet(config, hardware)
    plain = one_pass(unet, hardware, config)
    if hardware.device.type == "cpu":  # compiling all kinds takes minutes there
        unet.mid_block.attentions[0].transformer_blocks[0].compile()  # pyright: ignore
    else:
        compile_blocks(unet)
    started = time.perf_counter()
    with compiler_errors():
        quick = one_pass(unet, hardware, config)
    return {**difference_of(quick, plain), "compiling_s": round(time.perf_counter() - started, 1)}


def attention(setting: Setting) -> Figures:
    """Loss and gradients with each attention kernel that the device has, beside torch's plain one."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    config = of_embedded_base(setting)
    hardware = choose_hardware(config.device, config.precision)
    unet = adapted_unet(config, hardware)
    with sdpa_kernel(SDPBackend.MATH):
        plain = one_pass(unet, hardware, config)
    figures: Figures = {}
    for name in ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
        try:
            with sdpa_kernel(getattr(SDPBackend, name)):
                figures[name.lower()] = difference_of(one_pass(unet, hardware, config), plain)
        except (RuntimeError, AttributeError) as error:
            figures[name.lower()] = f"not on this device ({str(error).splitlines()[0]})"
    return figures


def trained_lora(setting: Setting) -> tuple[Any, Hardware]:
    """The embedded base with a LoRA after a few steps, on the device."""
    config = of_embedded_base(setting)
    hardware = choose_hardware(config.device, config.precision)
    unet: Any = adapted_unet(config, hardware)
    run_loop(make_module(unet, config), random_set(dict(unet.config), SIDE_PX), hardware, config)
    return unet.to(hardware.device).eval(), hardware


def export(setting: Setting) -> Figures:
    """The LoRA file of a model on the device: its proof, and a second model that loads it beside the first."""
    from spritelora.adapters.layers.proof import adapter_tensors, prove_export

    unet, _ = trained_lora(setting)
    tensors = adapter_tensors(unet, torch.float16)
    prove_export(unet, tensors)
    moved = copy.deepcopy(tensors)
    name = next(n for n in moved if n.endswith("lora_up.weight"))
    moved[name] = moved[name] + 1
    try:
        prove_export(unet, moved)
    except Exception as error:
        return {"modules": sum(n.endswith("alpha") for n in tensors), "proven": True, "a_changed_file": str(error)}
    raise TrainingError("the proof of an export takes a file whose weights are others")


def samples(setting: Setting) -> Figures:
    """Images of one LoRA drawn on the device and in fp32 on the CPU from the same noise, in levels of 255."""
    from spritelora.embedded.location import embedded_base
    from spritelora.sdxl.files.base import find_base, load_vae
    from spritelora.sdxl.latents import decode_latents
    from spritelora.sdxl.reference_pipeline import sdxl_scheduler
    from spritelora.sdxl.sample import Sampling, sample_latents, start_noise

    unet, hardware = trained_lora(setting)
    prompts = [random_text(dict(unet.config), i) for i in range(2)]
    base, noise = find_base(str(embedded_base())), start_noise(0, 2, SIDE_PX)

    def draw(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            sampling, negative = Sampling(sdxl_scheduler(), 8, 3), random_text(dict(model.config), -1)
            latents = sample_latents(model, sampling, prompts, negative, noise)
        return decode_latents(load_vae(base, device), latents).astype(float)

    ours = draw(unet, hardware.device, hardware.base_dtype)
    true = draw(unet.float().cpu(), torch.device("cpu"), torch.float32)
    apart = abs(ours - true)
    return {"mean_levels_off": float(apart.mean()), "most_levels_off": float(apart.max())}


def nccl(setting: Setting) -> Figures:
    """A sum over a group of one process, which meets itself as the processes of a run meet, on the GPU by NCCL."""
    import torch.distributed as dist

    from spritelora.config.train.processes import Place
    from spritelora.data.rendezvous import Wait, join

    device = choose_hardware(setting.config.device, Precision.auto).device
    join(Place(), device, Wait("1m", print))
    try:
        values = torch.arange(8.0, device=device)
        dist.all_reduce(values)
        return {"backend": dist.get_backend(), "sum": float(values.sum()), "is_right": float(values.sum()) == 28.0}
    finally:
        dist.destroy_process_group()
