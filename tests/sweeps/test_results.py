"""What a sweep's table says of each job's settings."""

from pathlib import Path

from spritelora.evaluation.comparison import Row
from spritelora.runs.sweep_record import JobRecord, JobStatus, SweepRecord, now, write_job, write_sweep
from spritelora.sweeps.results import differing, to_text, words_of, write_results


def test_the_folder_that_only_the_first_jobs_were_told_is_no_column():
    first = ["lora=rank8", "output='outputs/search'"]
    assert differing({0: first, 1: ["lora=rank16"]}) == {0: {"lora": "rank8"}, 1: {"lora": "rank16"}}


def test_a_swept_group_named_like_a_column_of_comparisons_is_on_the_terminal():
    rows = [Row({"name": str(n), "lr": lr, "status": "finished"}) for n, lr in enumerate(["lr1e-4", "lr5e-5"])]
    head, *lines = to_text(rows, "validation_loss").splitlines()
    assert head.split() == ["name", "lr", "status"]
    assert [line.split()[1] for line in lines] == ["lr1e-4", "lr5e-5"]


def test_results_tell_no_folder_of_this_machine(tmp_path: Path) -> None:
    job = tmp_path / "sweep" / "0"
    job.mkdir(parents=True)
    write_sweep(job.parent, SweepRecord(["-m"], ["seed=0,1"], [["seed=0"], ["seed=1"]], "validation_loss", now()))
    error = f"{job}/checkpoint_final: cannot be written (No space left); free space"
    write_job(job, JobRecord(0, ["seed=0"], JobStatus.failed, now(), error=error))
    (row, _) = write_results(job.parent)
    assert row.cells["path"] == "0"
    assert row.cells["problem"] == "checkpoint_final: cannot be written (No space left); free space"
    for name in ("results.csv", "results.json", "results.html"):
        assert str(tmp_path) not in (job.parent / name).read_text(encoding="utf-8")


def test_what_differs_is_shown_as_it_is_typed() -> None:
    own = {"data.shapes": "['256x256','192x320']", "data.path": "'/home/bob/art'", "lora.rank": 4, "seed": None}
    assert words_of(own) == "shapes=[256x256,192x320] path=art rank=4"
