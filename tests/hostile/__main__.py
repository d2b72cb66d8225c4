"""Tries all kinds of hostile files, or those whose title holds a text: `python -m tests.hostile [TEXT ...]`.

Prints a table of outcomes by reader, and every kind that ended as none may. Exits with status 1 where there is one.
"""

import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import running
from tests.hostile.every import every_kind, make_shared
from tests.hostile.trial import Outcome, Trial, run_kind

RIGHT = (Outcome.error, Outcome.taken)
AT_ONCE = 2


def main(wanted: list[str]) -> int:
    """Try, print, and return the exit status."""
    kinds = [kind for kind in every_kind() if not wanted or any(text in kind.title for text in wanted)]
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, running.zygotes() as addresses:
        running.addresses.update(addresses)
        folder, begun_s = Path(name), time.monotonic()
        shared = make_shared(folder / "shared", kinds)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(run_kind, kind, folder / str(n), shared) for n, kind in enumerate(kinds)]
            trials = [_shown(job.result()) for job in jobs]
    print(table(trials))  # noqa: T201
    costly = sorted(trials, key=lambda t: -t.memory_gb)[:3] + sorted(trials, key=lambda t: -t.cpu_s)[:3]
    for trial in costly:
        print(f"  {trial.kind.title}: {trial.memory_gb:.2f} GB, {trial.cpu_s:.1f} s")  # noqa: T201
    print(f"{len(trials)} kinds in {time.monotonic() - begun_s:.0f} s")  # noqa: T201
    return int(any(trial.outcome not in RIGHT for trial in trials))


def _shown(trial: Trial) -> Trial:
    if trial.outcome not in RIGHT:
        told = trial.told.encode("ascii", "backslashreplace").decode()
        told = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in told).replace("\n", "\n    ")
        print(f"{trial.outcome.value.upper()}: {trial.kind.title}\n    {told}", flush=True)  # noqa: T201
    return trial


def table(trials: list[Trial]) -> str:
    """The number of kinds of each outcome, by reader and in all."""
    readers = list(dict.fromkeys(trial.kind.reader for trial in trials))
    rows = [["reader", "tried", *(outcome.value for outcome in Outcome)]]
    for reader in [*readers, "all"]:
        counts = Counter(t.outcome for t in trials if reader in (t.kind.reader, "all"))
        rows.append([reader, str(counts.total()), *(str(counts[outcome]) for outcome in Outcome)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
