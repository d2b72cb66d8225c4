"""Hostile LoRA files and adapters of PEFT: sizes that fit nothing, alphas that are none, names and settings of all kinds."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.hostile.images import ESCAPES
from tests.hostile.trial import Kind
from tests.weight_files.strangers import NOT_FINITE, OTHER_BASES, OTHER_WEIGHTS, STRANGERS, UNREAD, Q, plain

INSPECT = ("scripts/lora.py", "mode=inspect", "loras={given}/gems.safetensors", "every_layer=true")
MERGE = (
    "scripts/lora.py",
    "mode=merge",
    "loras=[{given}/gems.safetensors,{given}/gems.safetensors]",
    "output={out}/m.safetensors",
)
RESIZE = ("scripts/lora.py", "mode=resize", "loras={given}/gems.safetensors", "rank=2", "output={out}/r.safetensors")
ADAPTER = ("scripts/lora.py", "mode=inspect", "loras={given}")

Tensors = Callable[[], dict[str, torch.Tensor]]
NAN, INF = float("nan"), float("inf")


def changed(**ends: torch.Tensor | None) -> Tensors:
    """A layer of rank 4 with other tensors: `down`, `up`, `alpha`; None leaves one out."""
    names = {"down": "lora_down.weight", "up": "lora_up.weight", "alpha": "alpha"}

    def make() -> dict[str, torch.Tensor]:
        tensors = plain() | {f"{Q}.{names[end]}": t for end, t in ends.items() if t is not None}
        return {n: t for n, t in tensors.items() if n not in [f"{Q}.{names[e]}" for e, t in ends.items() if t is None]}

    return make


def lokr(alpha: torch.Tensor | None = None, **tensors: torch.Tensor) -> Tensors:
    whole = {"lokr_w1": torch.ones(20, 20), "lokr_w2": torch.ones(32, 32), **tensors}
    return lambda: {f"{Q}.{n}": t for n, t in whole.items()} | ({} if alpha is None else {f"{Q}.alpha": alpha})


def loha(**tensors: torch.Tensor) -> Tensors:
    whole = {f"hada_w{i}_{e}": torch.ones(*s) for i in (1, 2) for e, s in (("a", (640, 4)), ("b", (4, 640)))} | tensors
    return lambda: {f"{Q}.{n}": t for n, t in whole.items()} | {f"{Q}.alpha": torch.tensor(4.0)}


def dora(lengths: torch.Tensor) -> Tensors:
    return lambda: {**plain(), f"{Q}.dora_scale": lengths}


def header(entries: Any, tensors: bytes = b"") -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def entry(dtype: str, shape: list[int], ends: list[int]) -> dict[str, Any]:
    return {f"{Q}.lora_down.weight": {"dtype": dtype, "shape": shape, "data_offsets": ends}}


ODD: dict[str, Tensors] = {
    "rank 0": changed(down=torch.ones(0, 640), up=torch.ones(640, 0)),
    "rank 0 in both, no sides": changed(down=torch.ones(0, 0), up=torch.ones(0, 0)),
    "no inputs": changed(down=torch.ones(4, 0)),
    "no outputs": changed(up=torch.ones(0, 4)),
    "alpha of none": changed(alpha=torch.ones(0)),
    "alpha of two": changed(alpha=torch.ones(2)),
    "alpha of 4 x 4": changed(alpha=torch.ones(4, 4)),
    "alpha that is complex": changed(alpha=torch.tensor(1j)),
    "complex weights": changed(down=torch.ones(4, 640, dtype=torch.complex64)),
    "weights that are bools": changed(down=torch.ones(4, 640, dtype=torch.bool)),
    "one dimension": changed(down=torch.ones(4)),
    "no dimension": changed(down=torch.tensor(4.0)),
    "three dimensions": changed(down=torch.ones(4, 640, 1)),
    "five dimensions": changed(down=torch.ones(4, 640, 1, 1, 1)),
    "up with a kernel": changed(up=torch.ones(640, 4, 3, 3)),
    "up and down of other ranks": changed(up=torch.ones(640, 5)),
    "half a layer": changed(up=None),
    "alpha alone": changed(up=None, down=None),
    "rank 20,000": changed(down=torch.ones(20_000, 64, dtype=torch.float16), up=torch.ones(64, 20_000, dtype=torch.float16)),
    "1 x 5,000,000": changed(down=torch.ones(1, 5_000_000, dtype=torch.float16), up=torch.ones(5_000_000, 1, dtype=torch.float16)),
    "one layer twice": lambda: {**plain(), **plain(name="lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q")},
    "LoKr with alpha nan": lokr(torch.tensor(NAN)),
    "LoKr with alpha inf": lokr(torch.tensor(INF)),
    "LoKr with alpha 0": lokr(torch.tensor(0.0)),
    "LoKr with alpha -1": lokr(torch.tensor(-1.0)),
    "LoKr with alpha of two": lokr(torch.ones(2)),
    "LoKr without alpha": lokr(),
    "LoKr with nan": lokr(torch.tensor(1.0), lokr_w1=torch.full((20, 20), NAN)),
    "LoKr of one dimension": lokr(torch.tensor(1.0), lokr_w1=torch.ones(20)),
    "LoKr of three dimensions": lokr(torch.tensor(1.0), lokr_w1=torch.ones(2, 20, 20)),
    "LoKr of no dimension": lokr(torch.tensor(1.0), lokr_w1=torch.tensor(1.0)),
    "LoKr that is huge": lokr(torch.tensor(1.0), lokr_w1=torch.ones(4000, 1), lokr_w2=torch.ones(1, 400_000)),
    "LoKr that is empty": lokr(torch.tensor(1.0), lokr_w1=torch.ones(0, 20)),
    "LoKr of rank 0": lambda: {f"{Q}.{n}": t for n, t in {"lokr_w1": torch.ones(20, 20), "lokr_w2_a": torch.ones(32, 0), "lokr_w2_b": torch.ones(0, 32)}.items()},
    "LoKr with half a factor": lambda: {f"{Q}.lokr_w1": torch.ones(20, 20), f"{Q}.lokr_w2_a": torch.ones(32, 4)},
    "LoKr with a core that fits nothing": lokr(torch.tensor(1.0), lokr_t2=torch.ones(3, 3, 3, 3)),
    "LoHa of unlike shapes": loha(hada_w2_a=torch.ones(1, 4), hada_w2_b=torch.ones(4, 1)),
    "LoHa of unlike ranks": loha(hada_w2_a=torch.ones(640, 5)),
    "LoHa that is huge": loha(**{f"hada_w{i}_{e}": torch.ones(s) for i in (1, 2) for e, s in (("a", (200_000, 1)), ("b", (1, 200_000)))}),
    "LoHa of one half": lambda: {f"{Q}.hada_w1_a": torch.ones(640, 4), f"{Q}.hada_w1_b": torch.ones(4, 640)},
    "LoHa with nan": loha(hada_w1_a=torch.full((640, 4), NAN)),
    "DoRA with two lengths": dora(torch.ones(2)),
    "DoRA with nan": dora(torch.full((640, 1), NAN)),
    "DoRA without lengths": dora(torch.ones(0)),
    "DoRA of PEFT with too few": lambda: {f"base_model.model.conv_in.{n}": t for n, t in {"lora_A.weight": torch.ones(4, 36), "lora_B.weight": torch.ones(320, 4), "lora_magnitude_vector": torch.ones(3)}.items()},
    "5,000 keys of nothing": lambda: {**plain(), **{f"key{i}": torch.ones(1) for i in range(5000)}},
    "a name of 100,000 letters": lambda: {**plain(), "x" * 100_000: torch.ones(1)},
    "a name that backtracks": lambda: {"lora_unet_a" + ".oft_a" * 80 + "!": torch.ones(1), **plain()},
    "30,000 tensors": lambda: {f"lora_unet_{i}.alpha": torch.ones(()) for i in range(30_000)},
    "a name with escapes": lambda: {**plain(), f"{ESCAPES}\nFORGED.lora_down.weight": torch.ones(4, 4), f"{ESCAPES}\nFORGED.lora_up.weight": torch.ones(4, 4)},
    "a name of nothing": lambda: {**plain(), "": torch.ones(1)},
    "names that are paths": lambda: {**plain(), "../../victim/treasure.txt": torch.ones(1)},
}  # fmt: skip
"""LoRA files that are wrong, or may be taken by what only describes them."""

TAKEN: dict[str, Tensors] = {
    "alpha of one in a list": changed(alpha=torch.ones(1)),
    "alpha that is whole": changed(alpha=torch.tensor(4)),
    "alpha that is 0": changed(alpha=torch.tensor(0.0)),
    "alpha that is negative": changed(alpha=torch.tensor(-4.0)),
    "no alpha": changed(alpha=None),
    "fp64": lambda: {n: t.double() for n, t in plain().items()},
    "fp8": lambda: {n: t.to(torch.float8_e4m3fn) for n, t in plain().items()},
    "numbers of 1e38": changed(up=torch.full((640, 4), 1e38)),
    "all zeros": changed(up=torch.zeros(640, 4), down=torch.zeros(4, 640)),
    "rank 640": changed(down=torch.ones(640, 640), up=torch.ones(640, 640)),
}

HEADERS: dict[str, Callable[[], bytes]] = {
    "header of 90 MB": lambda: header(b'{"__metadata__":{"a":"' + b"x" * (90 << 20) + b'"}}'),
    "header of 2^63 bytes": lambda: struct.pack("<Q", 2**63 - 1) + b"{",
    "header of deep lists": lambda: header(b"[" * 100_000),
    "header of deep objects": lambda: header(b'{"a":' * 100_000),
    "header that is a list": lambda: header([1, 2]),
    "header that is null": lambda: header(None),
    "metadata of numbers": lambda: header({"__metadata__": {"a": 1}}),
    "metadata that is a list": lambda: header({"__metadata__": []}),
    "negative offsets": lambda: header(entry("F32", [2], [-8, 0]), bytes(8)),
    "offsets of 2^64": lambda: header(entry("F32", [2], [0, 2**64]), bytes(8)),
    "sides of 2^40 and 0": lambda: header(entry("F32", [2**40, 0], [0, 0])),
    "sides whose product overflows": lambda: header(entry("F32", [2**32, 2**32], [0, 0])),
    "a dtype that is none": lambda: header(entry("F7", [2], [0, 8]), bytes(8)),
    "F4": lambda: header(entry("F4", [16], [0, 8]), bytes(8)),
    "a dtype of torch's code": lambda: header(entry("__import__('os')", [2], [0, 8]), bytes(8)),
    "a hole": lambda: header(entry("F32", [2], [8, 16]), bytes(16)),
    "a key twice": lambda: header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
}  # fmt: skip

METADATA: dict[str, dict[str, str]] = {
    "escapes": {"ss_output_name": ESCAPES, f"ss_{ESCAPES}": "x"},
    "forged lines": {"modelspec.title": "x\nFORGED warning: all is lost", "ss_x\nFORGED": "y"},
    "U+2028": {"modelspec.title": "x\u2028FORGED"},
    "right to left": {"modelspec.title": "\u202eevil"},
    "a value of 1 MB": {"ss_tag_frequency": "x" * (1 << 20)},
    "30,000 entries": {f"ss_{i}": "x" for i in range(30_000)},
    "tags that are no JSON": {"ss_tag_frequency": "{"},
    "tags that are deep": {"ss_tag_frequency": "[" * 100_000},
    "arguments that are deep": {"ss_network_args": "[" * 100_000},
    "arguments that are a list": {"ss_network_args": "[1]"},
    "a rank of words": {"ss_network_dim": "../../x", "ss_network_alpha": "__import__('os')"},
    "a resolution of words": {"ss_resolution": "(1e999, -5)", "modelspec.resolution": "0x0"},
    "settings of PEFT that are no JSON": {"lora_adapter_metadata": "{"},
    "settings of PEFT that are deep": {"lora_adapter_metadata": '{"a":' * 100_000},
    "settings of PEFT that are a list": {"lora_adapter_metadata": "[]"},
    "settings of PEFT with an alpha of words": {"lora_adapter_metadata": '{"r": 4, "lora_alpha": "x"}'},
    "a title that is a path": {"modelspec.title": "../../victim/treasure.txt", "ss_output_name": "/etc/passwd"},
}

CONFIGS: dict[str, object] = {
    "a list": [1],
    "null": None,
    "a text": "r",
    "deep": b'{"a":' * 100_000,
    "not UTF-8": b"\xff\xfe{",
    "NaN": b'{"lora_alpha": NaN}',
    "Infinity": b'{"lora_alpha": -Infinity}',
    "a number of 5,000 digits": b'{"lora_alpha": ' + b"9" * 5000 + b"}",
    "alpha of 400 digits": {"lora_alpha": 10**399},
    "alpha a text": {"lora_alpha": "16"},
    "alpha a list": {"lora_alpha": [16]},
    "alpha true": {"lora_alpha": True},
    "alpha an object": {"alpha": {"a": 1}},
    "patterns a list": {"lora_alpha": 4, "alpha_pattern": ["a"]},
    "patterns a text": {"lora_alpha": 4, "alpha_pattern": "a"},
    "patterns to texts": {"lora_alpha": 4, "alpha_pattern": {"conv_in": "x"}},
    "patterns to null": {"lora_alpha": 4, "alpha_pattern": {"conv_in": None}},
    "a pattern that hangs": {"lora_alpha": 4, "alpha_pattern": {"(a+)+$": 1, "(conv|c|o|n|v|_)*x": 2, "(.*)*x": 3}},
    "a pattern of many repeats": {"lora_alpha": 4, "alpha_pattern": {".*.*.*.*.*.*.*x": 1}},
    "a pattern with an open bracket": {"lora_alpha": 4, "alpha_pattern": {"[": 1}},
    "a pattern with a group by name": {"lora_alpha": 4, "alpha_pattern": {"(?P<a>x)(?P=a)": 1}},
    "a pattern of 1 MB": {"lora_alpha": 4, "alpha_pattern": {"a|" * 500_000: 1}},
    "1,000 patterns": {"lora_alpha": 4, "alpha_pattern": {f"a{i}|b": 1 for i in range(1000)}},
    "10 MB": {"lora_alpha": 4, "x": "y" * (10 << 20)},
    "a repeat of 2^40": {"lora_alpha": 4, "alpha_pattern": {"a{1099511627776}": 1}},
}  # fmt: skip
CONFIGS_TAKEN: dict[str, object] = {
    "empty": {},
    "100,000 names": {"lora_alpha": 4, "alpha_pattern": {f"a{i}": 1 for i in range(100_000)}},
    "a type that is code": {"lora_alpha": 4, "peft_type": "__import__('os').system('touch sprung')", "auto_mapping": {"parent_library": "os"}},
    "names of modules out of it": {"lora_alpha": 4, "base_model_name_or_path": "../../victim", "target_modules": "(a+)+$"},
    "rank a text": {"lora_alpha": 4, "r": "x", "rank_pattern": 5, "use_rslora": "yes"},
}  # fmt: skip


def _save(make: Tensors, metadata: dict[str, str] | None = None) -> Callable[[Path], object]:
    return lambda given: save_file(make(), given / "gems.safetensors", metadata)


def _write(make: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda given: (given / "gems.safetensors").write_bytes(make())


def _adapter(content: object) -> Callable[[Path], object]:
    def plant(given: Path) -> None:
        ends = {"lora_A": torch.ones(4, 36), "lora_B": torch.ones(320, 4)}
        tensors = {f"base_model.model.conv_in.{n}.weight": t for n, t in ends.items()}
        save_file(tensors, given / "adapter_model.safetensors")
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        (given / "adapter_config.json").write_bytes(written)

    return plant


def kinds() -> Iterator[Kind]:
    """All kinds about LoRA files."""
    for name, make in ODD.items():
        yield Kind("LoRA (inspect)", name, _save(make), INSPECT, may="either")
        if not name.startswith(("LoKr", "LoHa", "DoRA")):
            yield Kind("LoRA (resize)", name, _save(make), RESIZE, may="either" if name == "rank 20,000" else "refused")
    for name, make in TAKEN.items():
        yield Kind("LoRA (inspect)", name, _save(make), INSPECT, may="taken")
        yield Kind("LoRA (merge)", name, _save(make), MERGE, may="either")
    yield from _strangers()
    for name, content in HEADERS.items():
        yield Kind("LoRA header", name, _write(content), INSPECT)
    for name, metadata in METADATA.items():
        whole = _save(plain, metadata)
        yield Kind("LoRA metadata (inspect)", name, whole, INSPECT, may="either")
        yield Kind("LoRA metadata (merge)", name, whole, MERGE, may="either")
    for name, content in {**CONFIGS, **CONFIGS_TAKEN}.items():
        may = "either" if name in CONFIGS_TAKEN else "refused"
        yield Kind("adapter_config.json", name, _adapter(content), ADAPTER, may=may)


def _strangers() -> Iterator[Kind]:
    """Those of tests/weight_files, as commands meet them."""
    for name, (make, _) in NOT_FINITE.items():
        yield Kind("LoRA (inspect)", f"not finite: {name}", _save(make), INSPECT)
    for name, (make, _) in {**UNREAD, **OTHER_BASES}.items():
        yield Kind("LoRA (merge)", name, _save(make), MERGE)
    for name, (shapes, _) in OTHER_WEIGHTS.items():
        make = lambda shapes=shapes: {n: torch.zeros(s) for n, s in shapes.items()}  # noqa: E731
        yield Kind("LoRA (inspect)", f"not a LoRA: {name}", _save(make), INSPECT)
    for name, (content, _) in STRANGERS.items():
        yield Kind("LoRA (inspect)", f"not a file of weights: {name}", _write(lambda content=content: content), INSPECT)
