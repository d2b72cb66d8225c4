"""The numeric tests as other processors compute them:  python -m tests.processors [PYTEST ARGUMENTS...]

Libraries choose their kernels by the processor, and on x86-64 can be told to take those of an older one. Each setting
is run with one thread and with two; a table of what passed and failed comes last. Exit status 1 where anything failed.
"""

import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

SETTINGS: dict[str, dict[str, str]] = {
    "this processor": {},
    "torch: no AVX": {"ATEN_CPU_CAPABILITY": "default"},
    "torch: AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "MKL: SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "oneDNN, OpenBLAS, numpy: AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
}
THREADS = (1, 2)


def run_tests(setting: dict[str, str], threads: int, arguments: list[str], folder: Path) -> dict[str, str]:
    """The tests under a setting: what became of each, by its name. `folder`: an empty one for this run's files."""
    command = [sys.executable, "-m", "pytest", "-m", "numeric and not slow", "-p", "no:cacheprovider", "--tb=short"]
    shared = ["-n", "2", "--dist", "loadfile"] if threads == 1 and (os.cpu_count() or 1) > 1 else []
    environment = {**os.environ, **setting, "OMP_NUM_THREADS": str(threads)}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder)  # torch takes compiled code from there of other instructions
    report = folder / "report.xml"
    done = subprocess.run([*command, *shared, f"--junit-xml={report}", *arguments], env=environment, check=False)
    if not report.is_file():
        sys.exit(f"error: pytest ended with status {done.returncode} and without a report")
    return dict(map(outcome, ElementTree.parse(report).iter("testcase")))


def outcome(case: ElementTree.Element) -> tuple[str, str]:
    """The name of a test and `passed`, `failed` or `skipped`."""
    kinds = {child.tag for child in case}
    name = f"{case.get('classname')}::{case.get('name')}"
    return name, "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def main(arguments: list[str]) -> int:
    rows, failures = [f"{'setting':32} threads  passed  failed  skipped  minutes"], list[str]()
    for threads, (name, setting) in itertools.product(THREADS, SETTINGS.items()):
        sys.stdout.write(f"== {name}, {threads} thread(s): {setting}\n")
        sys.stdout.flush()
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            told = run_tests(setting, threads, arguments, Path(folder))
        minutes = (time.monotonic() - start) / 60
        passed, failed, skipped = (list(told.values()).count(kind) for kind in ("passed", "failed", "skipped"))
        rows.append(f"{name:32} {threads:7} {passed:7} {failed:7} {skipped:8} {minutes:8.1f}")
        failures += [f"failed: {n} ({name}, {threads} thread(s))" for n, kind in told.items() if kind == "failed"]
    sys.stdout.write("\n".join(["", f"on {processor()}", *rows, *failures]) + "\n")
    return 1 if failures else 0


def processor() -> str:
    """The name of this machine's processor."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
