"""Folders of real sprites, read and packed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spritelora.data.run_canvases import settle_canvases
from spritelora.embedded.location import known_canvases
from spritelora.embedded.making.card import write_card
from spritelora.embedded.real.canvases import CANVASES
from spritelora.embedded.real.packs import read_packed, read_sources
from spritelora.embedded.real.records import PackedSet, pack
from spritelora.errors import DatasetError
from tests.embedded.conftest import REAL_DATA


def test_a_folder_without_the_data_is_named_with_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data=.*cc0.*give the folder that holds cc0, cc0_parts, cc0_small"):
        read_sources(tmp_path)


def test_records_have_the_words_of_their_packs(packed: PackedSet) -> None:
    by_name = {record.name: record for record in packed.records}
    beast = by_name["gray beast aaa"]
    assert (beast.kinds, beast.hand) == (("demons", "monster"), "crawl style")
    assert (beast.shape, beast.colours) == ((30, 22), ("red",))
    assert by_name["stone"].is_opaque
    ninja = [record for record in packed.records if record.name == "ninja"]
    assert {record.view for record in ninja} == {
        "seen from the front", "seen from the back", "facing left", "facing right"
    }  # fmt: skip
    assert {(record.pose, record.kinds) for record in ninja} == {("standing", ("person",))}


def test_parts_lie_as_they_are_and_mounts_are_left_out(packed: PackedSet) -> None:
    parts = {record.layer: record for record in packed.records if record.layer}
    assert set(parts) == {"base", "cloak", "hand1"}
    assert all(record.shape == (32, 32) for record in parts.values())
    assert parts["base"].name == "elf woman"


def test_a_pair_of_the_card_is_left_out(packed: PackedSet) -> None:
    assert not any(record.name == "potion" for record in packed.records)


def test_a_packed_file_gives_back_what_the_folders_held(data_folder: Path, tmp_path: Path) -> None:
    records, sprites = read_sources(data_folder)
    for _ in range(2):
        again = read_packed(tmp_path / "packed.safetensors", data_folder)
        assert again.records == records
        for number, sprite in enumerate(sprites):
            np.testing.assert_array_equal(again.sprite(number), sprite)
    assert pack(records, sprites).pixels.tobytes() == again.pixels.tobytes()


def test_the_card_names_origins_and_what_is_held_out(packed: PackedSet, tmp_path: Path) -> None:
    held = [replace(record, is_held_out="aaa" in record.name) for record in packed.records]
    write_card(tmp_path, held, {"num_steps": 7, "loss_known_128x128": 0.25}, goes_on=False)
    known = known_canvases(tmp_path)
    assert known is not None
    assert {f"{height}x{width}" for width, height in known} == set(map(str, CANVASES))
    assert settle_canvases(["auto"], 128, str(tmp_path)).shapes[0] == (128, 128)
    card = (tmp_path / "README.md").read_text()
    for said in ("Kenney", "Pixel-Boy", "crawl/tiles", "One subject in ten: gray beast aaa.", "7 steps", "blue potion"):
        assert said in card
    assert '"loss_known_128x128": 0.25' in card
    assert "made it from nothing" in card
    write_card(tmp_path, held, {"num_steps": 7}, goes_on=True)
    assert "made it from the weights of the base before it" in (tmp_path / "README.md").read_text()


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real sprites are not in ../shared/data")
def test_every_real_caption_is_in_the_spelling_of_the_card() -> None:
    from spritelora.embedded.real.packs import LISTS, SMALL, clean, read_rows

    texts = [row["text"] for row in read_rows(REAL_DATA / SMALL / LISTS[SMALL])]
    assert len(texts) == 3293
    assert not any("grey" in clean(text).split() for text in texts)
