"""Hostile configuration files, of a stranger's --config-dir."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.images import ESCAPES
from tests.hostile.trial import Kind

TRAIN = ("train.py", "--config-dir", "{given}", "+experiment=x", "--cfg", "job")
RUN = ("train.py", "--config-dir", "{given}", "+experiment=x", "data.path={given}/nothing", "output={out}")
COMMANDS = {
    "lora": ("scripts/lora.py", "mode=inspect"),
    "prepare": ("scripts/prepare.py", "input={given}", "validate_only=true"),
}

HEAD = "# @package _global_\n"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES: dict[str, str | bytes] = {
    "an open bracket": HEAD + "lora: {rank: [8\n",
    "a tab": HEAD + "lora:\n\trank: 8\n",
    "a key twice": HEAD + "lora:\n  rank: 8\n  rank: 4\n",
    "not UTF-8": b"# @package _global_\nlora: caf\xe9\n",
    "a NUL": b"# @package _global_\nlora: \0\n",
    "a list": HEAD + "- 1\n",
    "a text": HEAD + "x\n",
    "a number": HEAD + "5\n",
    "an unknown key": HEAD + "lorra:\n  rank: 8\n",
    "an unknown key below": HEAD + "lora:\n  rnk: 8\n",
    "a value of another kind": HEAD + "lora:\n  rank: [1]\n",
    "a rank of 5,000 digits": HEAD + "lora:\n  rank: " + "9" * 5000 + "\n",
    "a seed of 30 digits": HEAD + "seed: " + "9" * 30 + "\n",
    "infinity": HEAD + "optim:\n  lr: .inf\n",
    "nan": HEAD + "optim:\n  lr: .nan\n",
    "a Python object": HEAD + "x: !!python/object/apply:os.system ['touch sprung']\n",
    "a tag that is unknown": HEAD + "x: !evil y\n",
    "a target of code": HEAD + "optim:\n  _target_: os.system\n  lr: 1\n",
    "a target of code for the schedule": HEAD + "schedule:\n  _target_: subprocess.Popen\n",
    "a target within this package": HEAD + "optim:\n  _target_: spritelora.files.write_whole\n  lr: 1\n",
    "a callback of Hydra": HEAD + "hydra:\n  callbacks:\n    x:\n      _target_: subprocess.Popen\n      args: [touch, sprung]\n",
    "a logging handler": HEAD + "hydra:\n  job_logging:\n    handlers:\n      x:\n        class: logging.FileHandler\n        filename: ../victim/treasure.txt\n",
    "a resolver of the environment": HEAD + "name: ${oc.env:HOME}\n",
    "a resolver that is unknown": HEAD + "data:\n  path: ${evil:x}\n",
    "an open interpolation": HEAD + "data:\n  path: ${\n",
    "an interpolation of itself": HEAD + "lora:\n  rank: ${lora.rank}\n",
    "a billion laughs": HEAD + LAUGHS,
    "anchors in a known key": HEAD + LAUGHS + "sampler:\n  prompts: *i\n",
    "deep lists": HEAD + "sampler:\n  prompts: " + "[" * 5000 + "]" * 5000 + "\n",
    "deep keys": HEAD + "".join(f"{' ' * i}a:\n" for i in range(900)),
    "20,000 numbers for one": HEAD + "optim:\n  lr: [" + ",".join(["1"] * 20_000) + "]\n",
    "20,000 keys": HEAD + "".join(f"k{i}: 1\n" for i in range(20_000)),
    "escapes": HEAD + f'"{ESCAPES.encode("unicode_escape").decode()}": 1\n',
    "a forged line": HEAD + '"x\\nFORGED error: all is lost": 1\n',
    "a default upwards": "# @package _global_\ndefaults:\n  - ../../victim/treasure\n",
    "a default of itself": "# @package _global_\ndefaults:\n  - /experiment: x\n",
    "a default that is not there": "# @package _global_\ndefaults:\n  - /lora: rank9999\n",
    "defaults a text": "# @package _global_\ndefaults: x\n",
    "a package of another": "# @package hydra.callbacks\nx:\n  _target_: subprocess.Popen\n  args: [touch, sprung]\n",
    "a search path": HEAD + "hydra:\n  searchpath: [file:///etc]\n",
    "an output out of it": HEAD + "hydra:\n  run:\n    dir: ../victim/run\n",
}  # fmt: skip

TYPED: dict[str, tuple[str, ...]] = {
    "20,000 strengths": ("scripts/lora.py", "mode=merge", "loras=[a,b]", "lora_strengths=[" + ",".join(["1"] * 20_000) + "]"),
    "20,000 files": ("scripts/lora.py", "mode=inspect", "loras=[" + ",".join(["{given}/a.safetensors"] * 2000) + "]"),
    "a list that is deep": ("scripts/lora.py", "mode=inspect", "loras=" + "[" * 500 + "]" * 500),
    "escapes": ("scripts/lora.py", f"mode={ESCAPES}"),
    "a forged line": ("scripts/prepare.py", "input=x\nFORGED"),
    "a NUL's escape": ("scripts/prepare.py", "input=a\\0b"),
    "a name too long": ("scripts/prepare.py", "input=" + "x" * 5000),
    "an override of the environment": ("scripts/prepare.py", "input=${oc.env:HOME}/nothing"),
    "a resolution of 30 digits": ("scripts/prepare.py", "input={given}", "resolution=" + "9" * 30),
    "a template of attributes": ("scripts/prepare.py", "input={given}", "template={name.__class__.__mro__}", "create_captions=true"),
}  # fmt: skip


def kinds() -> Iterator[Kind]:
    """All kinds about configuration."""

    def plant(content: str | bytes) -> Callable[[Path], object]:
        def make(given: Path) -> None:
            (given / "experiment").mkdir()
            written = content.encode() if isinstance(content, str) else content
            (given / "experiment" / "x.yaml").write_bytes(written)

        return make

    for name, content in FILES.items():
        yield Kind("YAML (--cfg)", name, plant(content), TRAIN, may="either", ready="door")
        yield Kind("YAML (train)", name, plant(content), RUN, ready="door")
    for name, words in TYPED.items():
        yield Kind("command line", name, lambda _given: None, words, ready="door")
