"""The variants of a sprite are encoded once, and which one is shown depends on seed and position alone."""

import logging
from collections import Counter
from pathlib import Path

import pytest
import torch

from spritelora.data.augment import Variant, show_variant
from spritelora.data.batch import training_batch
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder, Picture
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.diffusion.draws import choose_variant
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.text import TextEmbedding
from spritelora.sprites.folder.sprite_folder import read_folder, training_image

pytestmark = pytest.mark.numeric

WHITE = (255, 255, 255)


def numbered(value: float) -> EncodedView:
    return EncodedView(
        torch.full((4, 4, 4), value), [TextEmbedding(torch.full((77, 8), value), torch.full((4,), value))]
    )


def varied_set(size: int, num_more: int) -> EncodedSet:
    """Sprites whose numbers say which sprite (whole) and which variant (tenths) they are."""
    return EncodedSet(
        [EncodedSprite(f"{i}.png", [numbered(i + v / 10) for v in range(1 + num_more)]) for i in range(size)]
    )


def test_a_variant_does_not_depend_on_its_batch() -> None:
    encoded = varied_set(7, 3)
    whole = training_batch(encoded, 0, range(40), 1000)
    single = [training_batch(encoded, 0, [p], 1000) for p in reversed(range(40))][::-1]
    for field in whole._fields:
        assert torch.equal(torch.cat([getattr(b, field) for b in single]), getattr(whole, field))


def test_picture_and_text_are_of_one_variant_of_the_sprite() -> None:
    batch = training_batch(varied_set(7, 3), 0, range(70), 1000)
    shown = batch.latents[:, 0, 0, 0]
    assert torch.equal(shown.floor().int(), batch.indices.int())
    assert torch.equal(batch.states[:, 0, 0], shown)
    assert torch.equal(batch.pooled[:, 0], shown)


def test_variants_are_shown_equally_often_and_by_the_seed() -> None:
    counts = Counter(choose_variant(0, position, 4) for position in range(4000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(abs(n - 1000) < 5 * 750**0.5 for n in counts.values())  # five standard deviations
    assert [choose_variant(0, p, 4) for p in range(50)] != [choose_variant(1, p, 4) for p in range(50)]


def test_variants_move_no_other_draw() -> None:
    plain, varied = (training_batch(varied_set(7, num_more), 0, range(21), 1000) for num_more in (0, 3))
    for field in ("noise", "constants", "timesteps", "indices"):
        assert torch.equal(getattr(plain, field), getattr(varied, field))


def test_a_variant_is_encoded_as_its_picture_would_be_and_once(
    base: BaseModel, tmp_path: Path, sprite_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder(base, Cache(tmp_path / "cache"), torch.device("cpu"))
    sprites = read_folder(sprite_folder, 128)[:2]
    variant = Variant(flip=True, right=1, down=-1)
    plain = encoder.latents([Picture(s) for s in sprites], WHITE)
    pictures = [Picture(sprites[0]), Picture(sprites[1], variant)]
    varied = encoder.latents(pictures, WHITE)
    assert torch.equal(varied[0], plain[0])
    from spritelora.sdxl.files.base import load_vae
    from spritelora.sdxl.latents import encode_image

    image = show_variant(training_image(sprites[1], WHITE), variant, WHITE)
    assert torch.equal(varied[1], encode_image(load_vae(base, torch.device("cpu")), image, "x"))
    caplog.set_level(logging.INFO)
    encoder.latents(pictures, WHITE)
    assert "encoding" not in caplog.text
