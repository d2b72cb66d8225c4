"""What all documents say is there: files, headings, keys, scripts."""

import re
from pathlib import Path

import pytest

from spritelora.config.fields import declared_path
from tests.conftest import ROOT
from tests.documents import DOCUMENTS, SCRIPTS, anchors_of, broken_links, keys_in, keys_of

FOR_USERS = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("guide", "install", "prepare", "training", "sweeps", "clusters")),
    *(ROOT / "docs" / f"{name}.md" for name in ("adapters", "loggers", "lora-files", "original-guide")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One, *two*\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](none.md) [e](https://example.org)\n"
    )
    assert anchors_of(page) == {"one-two"}
    assert broken_links(page) == ["#three", "none.md"]


@pytest.mark.parametrize("document", FOR_USERS, ids=lambda d: d.name)
def test_every_key_named_is_one_that_a_script_takes(document: Path) -> None:
    taken = set().union(*(keys_of(script.stem) for script in SCRIPTS))
    named = {declared_path(key, taken) for key in keys_in(document.read_text()) if not key.startswith("hydra.")}
    assert sorted(named - taken) == []


@pytest.mark.parametrize("document", FOR_USERS, ids=lambda d: d.name)
def test_every_script_named_is_there(document: Path) -> None:
    for name in re.findall(r"(?:scripts/)?\w+\.py\b", document.read_text()):
        assert (ROOT / name).is_file() or (ROOT / "scripts" / name).is_file(), name
