"""Which library multiplies matrices on a CPU, and that the numbers are those of fp32."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spritelora import process
from spritelora.process import choose_products
from spritelora.sdxl.files.geometry import SDXL_UNET
from tests.bounds import assert_same_function

pytestmark = pytest.mark.numeric

SMALL = {"block_out_channels": (32, 64, 128)}
ZEN4 = "vendor_id\t: AuthenticAMD\nflags\t: fma avx2 avx512f avx512_bf16\n"
XEON = "vendor_id\t: GenuineIntel\nflags\t: fma avx2 avx512f amx_bf16\n"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.backends.mkldnn.matmul.fp32_precision
    yield
    torch.backends.mkldnn.matmul.fp32_precision = before


@pytest.mark.parametrize(
    ("unet", "cpu", "capability", "is_onednn"),
    [
        (SDXL_UNET, ZEN4, "AVX512", True),
        (SMALL, ZEN4, "AVX512", False),
        (SDXL_UNET, ZEN4, "AVX2", False),
        (SDXL_UNET, XEON, "AVX512", False),
        (SDXL_UNET, ZEN4.replace("fma", "amx_bf16"), "AVX512", False),
        (SDXL_UNET, None, "AVX512", False),
    ],
)
def test_onednn_is_for_wide_models_where_mkl_leaves_avx512_unused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unet: dict, cpu: str | None, capability: str, is_onednn: bool
) -> None:
    if cpu is not None:
        (tmp_path / "cpuinfo").write_text(cpu)
    monkeypatch.setattr(process, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    torch.backends.mkldnn.matmul.fp32_precision = "none" if is_onednn else "bf16"  # as the model before left it
    choose_products(unet)
    assert torch.backends.mkldnn.matmul.fp32_precision == ("bf16" if is_onednn else "none")


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mm": lambda a, b, _: a @ b,
    "of transposed": lambda a, b, _: b.T @ a.T,
    "linear": lambda a, b, c: torch.nn.functional.linear(a, b.T.contiguous(), c[0]),
    "scaled sum": lambda a, b, c: c.clone().addmm_(a, b, alpha=0.7),
    "into": lambda a, b, c: torch.mm(a, b, out=torch.empty_like(c)),
    "batched": lambda a, b, c: torch.baddbmm(c[None], a[None], b[None], alpha=0.3),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_those_of_fp32(name: str) -> None:
    """To half of its digits: a product in bf16 is eight times as far off, whatever the length of its sums."""
    choose_products(SDXL_UNET)
    torch.manual_seed(0)
    for rows, inner, columns in itertools.product((1, 77, 256), (32, 640, 2048), (32, 640)):
        tensors = torch.randn(rows, inner), torch.randn(inner, columns), torch.randn(rows, columns)
        product, exact = PRODUCTS[name](*tensors), PRODUCTS[name](*(t.double() for t in tensors))
        assert_same_function(product, exact, torch.float32)
