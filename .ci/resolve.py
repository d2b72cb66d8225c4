"""Tries constraints.txt against the public index, for every platform and Python that the README names.

Nothing is installed: uv resolves for other systems too. Exits 1 where a combination does not resolve, where a package
is pinned that none of them takes, and where one is taken that is not pinned.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
INDEX = "https://pypi.org/simple"
PLATFORMS = {
    "Linux x86-64": "x86_64-unknown-linux-gnu",
    "Linux aarch64": "aarch64-unknown-linux-gnu",
    "macOS 14 arm64": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = {"core": (), "dev": ("--extra", "dev")}
SOURCE_ONLY = "antlr4-python3-runtime"
"""The one package without a wheel; it is plain Python, so that no compiler is needed."""
OF_CUDA = ("cuda-", "nvidia-", "triton")
"""Packages that torch's CUDA build pins itself, and its CPU builds do not have."""


def resolve(platform: str, python: str, extras: str) -> set[str] | str:
    """The names of the packages that an installation takes, or why there is none."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--no-config",
        "--default-index",
        INDEX,
        "--no-annotate",
        "--no-header",
    ]
    command += ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--constraint", "constraints.txt"]
    command += ["--python-platform", PLATFORMS[platform], "--python-version", python, *EXTRAS[extras], "pyproject.toml"]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        command, cwd=ROOT, env={**ours, "MACOSX_DEPLOYMENT_TARGET": "14.0"}, capture_output=True, text=True
    )
    return names_of(done.stdout) if done.returncode == 0 else done.stderr.strip()


def names_of(text: str) -> set[str]:
    """The packages that a list of requirements names."""
    return {canonicalize_name(Requirement(line).name) for line in text.splitlines() if line.strip()}


def main() -> None:
    """Print a table, and what does not fit."""
    combinations = list(product(PLATFORMS, PYTHONS, EXTRAS))
    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(combinations, pool.map(lambda c: resolve(*c), combinations), strict=True))
    print("| packages taken | " + " | ".join(f"{p} {e}" for p, e in product(PYTHONS, EXTRAS)) + " |")
    print("|---" * (1 + len(PYTHONS) * len(EXTRAS)) + "|")
    for platform in PLATFORMS:
        cells = [results[platform, p, e] for p, e in product(PYTHONS, EXTRAS)]
        print(f"| {platform} | " + " | ".join("none" if isinstance(c, str) else str(len(c)) for c in cells) + " |")
    problems = [f"{' '.join(c)}: {result}" for c, result in results.items() if isinstance(result, str)]
    taken = set().union(*(result for result in results.values() if not isinstance(result, str)))
    pinned = names_of((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    problems += [f"{name} is pinned, and no installation takes it" for name in sorted(pinned - taken)]
    unpinned = sorted(name for name in taken - pinned if not name.startswith(OF_CUDA))
    problems += [f"{name} is taken, and not pinned" for name in unpinned]
    sys.exit("\n".join(f"error: {problem}" for problem in problems) or 0)


if __name__ == "__main__":
    main()
