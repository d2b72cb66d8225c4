"""What a sweep's table says of each job's settings."""

from spritelora.evaluation.comparison import Row
from spritelora.sweeps.results import differing, to_text


def test_the_folder_that_only_the_first_jobs_were_told_is_no_column():
    first = ["lora=rank8", "output='outputs/search'"]
    assert differing({0: first, 1: ["lora=rank16"]}) == {0: {"lora": "rank8"}, 1: {"lora": "rank16"}}


def test_a_swept_group_named_like_a_column_of_comparisons_is_on_the_terminal():
    rows = [Row({"name": str(n), "lr": lr, "status": "finished"}) for n, lr in enumerate(["lr1e-4", "lr5e-5"])]
    head, *lines = to_text(rows, "validation_loss").splitlines()
    assert head.split() == ["name", "lr", "status"]
    assert [line.split()[1] for line in lines] == ["lr1e-4", "lr5e-5"]
