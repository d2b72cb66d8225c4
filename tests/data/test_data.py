"""What is frozen is computed once, and every batch is a pure function of seed and position."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from spritelora.data.batch import training_batch, validation_batches
from spritelora.data.cache import Cache, content_key
from spritelora.data.encode import Encoder, Picture
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.data.stream import BatchStream
from spritelora.diffusion.bands import timestep_bands
from spritelora.errors import CacheError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.folder.sprite_folder import read_folder

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
WHITE = (255, 255, 255)


@pytest.fixture
def encoder(base: BaseModel, tmp_path: Path) -> Encoder:
    return Encoder(base, Cache(tmp_path / "cache"), CPU)


def test_a_second_encoding_computes_nothing(
    encoder: Encoder, sprite_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sprites = read_folder(sprite_folder, 128)
    pictures, captions = list(map(Picture, sprites)), [s.caption for s in sprites]
    first = encoder.latents(pictures, WHITE), encoder.texts(captions)
    assert "encoding 12 sprites" in caplog.text
    files = {p: p.stat().st_mtime_ns for p in encoder.cache.folder.rglob("*.safetensors")}
    caplog.clear()
    again = encoder.latents(pictures, WHITE), encoder.texts(captions)
    assert "encoding" not in caplog.text
    assert {p: p.stat().st_mtime_ns for p in encoder.cache.folder.rglob("*.safetensors")} == files
    assert all(torch.equal(a, b) for a, b in zip(first[0], again[0], strict=True))
    assert all(torch.equal(first[1][c].states, again[1][c].states) for c in captions)


def test_what_changes_is_encoded_again_and_alone(encoder: Encoder, sprite_folder: Path, caplog) -> None:
    pictures = list(map(Picture, read_folder(sprite_folder, 128)))
    encoder.latents(pictures, WHITE)
    (sprite_folder / "sprite_03.png").write_bytes((sprite_folder / "sprite_04.png").read_bytes())
    caplog.set_level(logging.INFO)
    latents = encoder.latents(list(map(Picture, read_folder(sprite_folder, 128))), WHITE)
    assert "encoding" not in caplog.text  # the bytes are those of a sprite that is known
    assert torch.equal(latents[3], latents[4])
    encoder.latents(pictures, (0, 0, 0))
    assert "encoding 12 sprites" in caplog.text


def test_a_damaged_entry_is_reported_and_made_again(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    text = encoder.texts(["pixel art, key"])["pixel art, key"]
    (file,) = encoder.cache.folder.glob("texts/*/*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    again = encoder.texts(["pixel art, key"])["pixel art, key"]
    assert f"{file} is damaged" in caplog.text
    assert torch.equal(text.states, again.states)


SPOILT: dict[str, Callable[[dict[str, Tensor], dict[str, str]], object]] = {
    "another shape": lambda tensors, _: tensors.update(latents=tensors["latents"][:, :8, :8].contiguous()),
    "another number format": lambda tensors, _: tensors.update(latents=tensors["latents"].half()),
    "nan": lambda tensors, _: tensors["latents"].fill_(float("nan")),
    "inf in one place": lambda tensors, _: tensors["latents"][0, 0].fill_(float("inf")),
    "another name": lambda tensors, _: tensors.update(x=tensors.pop("latents")),
    "more than is wanted": lambda tensors, _: tensors.update(x=torch.ones(1)),
    "of another key": lambda _, notes: notes.update(of="latents/0"),
    "of another kind": lambda _, notes: notes.update(of=notes["of"].replace("latents", "texts")),
    "an earlier version": lambda _, notes: notes.pop("of"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_an_entry_that_is_not_what_its_name_says_is_made_again(
    name: str, encoder: Encoder, sprite_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = [Picture(s) for s in read_folder(sprite_folder, 128)[:1]]
    (sound,) = encoder.latents(pictures, WHITE)
    (file,) = encoder.cache.folder.glob("latents/*/*.safetensors")
    with safe_open(file, "pt") as opened:
        tensors, notes = {n: opened.get_tensor(n) for n in opened.keys()}, dict(opened.metadata())  # noqa: SIM118
    SPOILT[name](tensors, notes)
    file.unlink()
    save_file(tensors, file, notes)
    (again,) = encoder.latents(pictures, WHITE)
    assert torch.equal(sound, again)
    assert ("and is made again" in caplog.text) == (name != "an earlier version")
    caplog.clear()
    assert torch.equal(sound, encoder.latents(pictures, WHITE)[0])
    assert not caplog.text, "it is sound now"


def test_entries_that_changed_places_are_made_again(encoder: Encoder, sprite_folder: Path) -> None:
    pictures = [Picture(s) for s in read_folder(sprite_folder, 128)[:2]]
    sound = encoder.latents(pictures, WHITE)
    first, second = encoder.cache.folder.glob("latents/*/*.safetensors")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert all(torch.equal(a, b) for a, b in zip(sound, encoder.latents(pictures, WHITE), strict=True))


def test_text_of_another_width_is_encoded_again(encoder: Encoder) -> None:
    text = encoder.texts(["pixel art, key"])["pixel art, key"]
    (file,) = encoder.cache.folder.glob("texts/*/*.safetensors")
    with safe_open(file, "pt") as opened:
        notes = dict(opened.metadata())
    file.unlink()
    save_file({"states": text.states[:, :9].contiguous(), "pooled": text.pooled}, file, notes)
    assert torch.equal(text.states, encoder.texts(["pixel art, key"])["pixel art, key"].states)


def test_a_pickle_named_as_an_entry_is_not_executed(encoder: Encoder, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    encoder.texts(["pixel art, key"])
    (file,) = encoder.cache.folder.glob("texts/*/*.safetensors")
    file.write_bytes(pickle.dumps(Evil()))
    encoder.texts(["pixel art, key"])
    assert not (tmp_path / "executed").exists()


def test_captions_over_the_limit_are_named(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    long = "pixel art " * 40 + "key"
    for _ in range(2):  # from the encoder, then from the cache
        caplog.clear()
        encoder.texts([long])
        assert "loses its end" in caplog.text
        assert "key'" in caplog.text
    caplog.clear()
    encoder.texts(["pixel art " * 4000])
    assert len(caplog.text) < 1000


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match=r"cannot be written .*data\.cache=FOLDER"):
        Cache(tmp_path / "file").store("texts", "ab" * 32, {"x": torch.ones(1)})


def test_any_difference_gives_another_key() -> None:
    keys = {content_key(a=1, b="x"), content_key(a=2, b="x"), content_key(a=1, b="y"), content_key(a=1, b="x", c=None)}
    assert len(keys) == 4
    assert content_key(a=1, b="x") == content_key(b="x", a=1)


def encoded_set(size: int) -> EncodedSet:
    torch.manual_seed(0)
    texts = [TextEmbedding(torch.randn(77, 8), torch.randn(4)) for _ in range(size)]
    views = [EncodedView(torch.randn(4, 4, 4), [text]) for text in texts]
    return EncodedSet([EncodedSprite(f"{i}.png", [view]) for i, view in enumerate(views)])


def repeated(encoded: EncodedSet, repeats: Sequence[int]) -> EncodedSet:
    return EncodedSet([replace(s, repeats=n) for s, n in zip(encoded.sprites, repeats, strict=True)])


def test_a_sample_does_not_depend_on_its_batch() -> None:
    encoded = encoded_set(7)
    whole = training_batch(encoded, 0, range(12), 1000)
    for parts in ([range(0, 6), range(6, 12)], [range(i, i + 1) for i in range(12)]):
        batches = [training_batch(encoded, 0, part, 1000) for part in parts]
        for field in whole._fields:
            assert torch.equal(torch.cat([getattr(b, field) for b in batches]), getattr(whole, field))


def test_every_pass_shows_every_sample_once() -> None:
    indices = training_batch(encoded_set(7), 0, range(21), 1000).indices.tolist()
    assert [sorted(indices[i : i + 7]) for i in (0, 7, 14)] == [list(range(7))] * 3


def test_a_pass_shows_each_sample_as_often_as_it_repeats() -> None:
    encoded = repeated(encoded_set(4), [3, 1, 2, 1])
    indices = training_batch(encoded, 0, range(21), 1000).indices.tolist()
    passes = [indices[i : i + 7] for i in (0, 7, 14)]
    assert [sorted(p) for p in passes] == [[0, 0, 0, 1, 2, 2, 3]] * 3
    assert len({tuple(p) for p in passes}) == 3
    later = training_batch(encoded, 0, range(9, 12), 1000)
    assert later.indices.tolist() == indices[9:12]
    assert len(validation_batches(encoded, [(0, 1000)], draws=1, size=8)[0][0].indices) == 4


def test_a_part_of_a_set_is_evenly_spread_over_it() -> None:
    encoded = encoded_set(10)
    assert encoded.spread(5).names == encoded.names[::2]
    assert encoded.spread(10).names == encoded.names
    assert encoded.spread(3).sprites == [encoded[i] for i in (0, 3, 6)]


def test_a_stream_can_start_anywhere_and_processes_share_it() -> None:
    encoded = encoded_set(7)
    alone = BatchStream(encoded, 0, 4, 1000, start=0, rank=0, world_size=1)
    batches = [b for b, _ in zip(alone, range(6), strict=False)]
    later = next(iter(BatchStream(encoded, 0, 4, 1000, start=5, rank=0, world_size=1)))
    assert torch.equal(later.noise, batches[5].noise)
    shares = [next(iter(BatchStream(encoded, 0, 2, 1000, start=3, rank=r, world_size=2))) for r in range(2)]
    assert torch.equal(torch.cat([s.noise for s in shares]), batches[3].noise)
    assert torch.equal(torch.cat([s.indices for s in shares]), batches[3].indices)


def test_validation_noise_is_fixed_and_in_its_band() -> None:
    encoded = encoded_set(5)
    bands = timestep_bands(4, 1000)
    assert bands == [(0, 250), (250, 500), (500, 750), (750, 1000)]
    first, again = (validation_batches(encoded, bands, draws=2, size=s) for s in (4, 3))
    for band, batches, others in zip(bands, first, again, strict=True):
        timesteps = torch.cat([b.timesteps for b in batches])
        assert len(timesteps) == 10
        assert (int(timesteps.min()) >= band[0], int(timesteps.max()) < band[1]) == (True, True)
        assert torch.equal(torch.cat([b.noise for b in batches]), torch.cat([b.noise for b in others]))


def test_a_sprite_need_not_be_square() -> None:
    text = TextEmbedding(torch.zeros(77, 8), torch.zeros(4))
    encoded = EncodedSet([EncodedSprite("wide.png", [EncodedView(torch.zeros(4, 3, 5), [text])])])
    batches = [training_batch(encoded, 0, [0, 1], 1000), *validation_batches(encoded, [(0, 1000)], draws=2, size=2)[0]]
    for batch in batches:
        assert batch.noise.shape == batch.latents.shape == (2, 4, 3, 5)
        assert batch.time_ids.tolist() == [[24, 40, 0, 0, 24, 40]] * 2
