"""Only what is missing is captioned, a batch at a time, and what a person wrote stays."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from spritelora.captioning.write import Surround, choose_wanted, write_captions
from spritelora.sprites.folder.caption_files import read_set


class CountingCaptioner:
    """Says how many pictures it has seen, and stops the program at one of them."""

    side_px = 32

    def __init__(self, stop_at: int = 1000) -> None:
        self.seen = 0
        self.stop_at = stop_at

    def describe(self, images: Sequence[Image.Image]) -> list[str]:
        texts: list[str] = []
        for image in images:
            assert image.size == (32, 32)
            self.seen += 1
            if self.seen == self.stop_at:
                raise KeyboardInterrupt
            texts.append(f"potion {self.seen}")
        return texts


GUIDE = Surround("", "pixel art, ", ", game sprite, 16-bit style")


def run(folder: Path, captioner: CountingCaptioner, overwrite: bool = False, batch_size: int = 2) -> list[str]:
    return write_captions(choose_wanted(read_set(folder), overwrite), captioner, GUIDE, batch_size)


def test_stopped_and_run_again_only_the_rest_is_captioned(sprite_folder: Path) -> None:
    for number in range(3, 12):
        (sprite_folder / f"sprite_{number:02d}.txt").unlink()
    (sprite_folder / "sprite_03.txt").write_text(" \n")
    with pytest.raises(KeyboardInterrupt):
        run(sprite_folder, CountingCaptioner(stop_at=6))
    written = {f.name: f.read_text() for f in sprite_folder.glob("*.txt")}
    assert sorted(written) == [f"sprite_{i:02d}.txt" for i in range(7)]
    assert written["sprite_03.txt"] == "pixel art, potion 1, game sprite, 16-bit style\n"
    rest = CountingCaptioner()
    assert run(sprite_folder, rest) == []
    assert rest.seen == 5
    after = {f.name: f.read_text() for f in sprite_folder.glob("*.txt")}
    assert len(after) == 12
    assert {name: after[name] for name in written} == written
    assert after["sprite_00.txt"] == "pixel art, potion number 0\n"
    assert not list(sprite_folder.glob(".*"))


def test_overwrite_writes_all_anew(sprite_folder: Path) -> None:
    captioner = CountingCaptioner()
    assert run(sprite_folder, captioner, overwrite=True) == []
    assert captioner.seen == 12
    assert (sprite_folder / "sprite_11.txt").read_text() == "pixel art, potion 12, game sprite, 16-bit style\n"


def test_a_caption_written_meanwhile_is_kept(sprite_folder: Path) -> None:
    (sprite_folder / "sprite_00.txt").unlink()
    wanted = choose_wanted(read_set(sprite_folder), overwrite=False)
    (sprite_folder / "sprite_00.txt").write_text("pixel art, by hand\n")
    problems = write_captions(wanted, CountingCaptioner(), GUIDE, 1)
    assert problems == ["sprite_00.txt: was written by another meanwhile; kept as it is"]
    assert (sprite_folder / "sprite_00.txt").read_text() == "pixel art, by hand\n"


def test_bad_files_and_silence_are_named_and_the_others_captioned(sprite_folder: Path) -> None:
    class SilentOnce(CountingCaptioner):
        def describe(self, images: Sequence[Image.Image]) -> list[str]:
            return ["" if text == "potion 2" else text for text in super().describe(images)]

    (sprite_folder / "sprite_01.png").write_bytes(b"no image")
    for number in (1, 2, 3):
        (sprite_folder / f"sprite_{number:02d}.txt").unlink()
    problems = run(sprite_folder, SilentOnce(), batch_size=3)
    assert len(problems) == 2
    assert "sprite_01.png: corrupt or not an image" in problems[0]
    assert problems[1] == "sprite_03.png: the captioner said nothing; write this caption by hand"
    assert (sprite_folder / "sprite_02.txt").is_file()
    assert not (sprite_folder / "sprite_01.txt").exists()
    assert not (sprite_folder / "sprite_03.txt").exists()
