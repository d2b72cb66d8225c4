"""The tiny SDXL is an SDXL: plain diffusers loads it, any text is read, any sprite passes its autoencoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spritelora.embedded.drawn import caption_words, draw_demo_set, draw_sprite, sample_spec
from spritelora.embedded.model.network import build_network
from spritelora.embedded.model.tiny import write_parts
from spritelora.embedded.model.tiny_latents import encode_sprites, reconstruction_db
from spritelora.embedded.model.tiny_sample import draw_images, load_pipeline
from spritelora.embedded.model.tiny_vae import build_vae, whiten_latents
from spritelora.sdxl.files.tiny_tokenizer import END, TEXT_TOKENS, build_tokenizer
from tests.bounds import assert_same_function, assert_within, half_the_digits

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "base"
    write_parts(build_network(0, caption_words()), path, torch.float16)
    return path


def test_every_word_of_the_captions_is_one_token() -> None:
    tokenizer = build_tokenizer(caption_words(), END)
    for word in caption_words():
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


@pytest.mark.parametrize("text", ["zürich 日本 sks!", "16-bit, game_boy; 'tis", "naïve ☂ \U0001f600"])
def test_any_text_is_read_without_an_unknown_token(text: str) -> None:
    tokenizer = build_tokenizer(caption_words(), END)
    tokens = tokenizer(text).input_ids
    assert tokenizer.eos_token_id not in tokens[:-1]
    assert tokenizer.decode(tokens, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_the_end_token_is_the_highest_and_not_2() -> None:
    parts = build_network(0, caption_words())
    for encoder, tokenizer in ((parts.text_encoder, parts.tokenizer), (parts.text_encoder_2, parts.tokenizer_2)):
        assert encoder.config.eos_token_id == tokenizer.eos_token_id == len(tokenizer) - 1 != 2


def test_plain_diffusers_draws_with_the_folder(folder: Path) -> None:
    pipeline = load_pipeline(folder, torch.device("cpu"))
    assert pipeline.tokenizer.model_max_length == pipeline.tokenizer_2.model_max_length == TEXT_TOKENS
    first, again, other = (draw_images(pipeline, ["pixel art, red potion"], [seed], 2, 3.0) for seed in (0, 0, 1))
    assert first.shape == (1, 128, 128, 3)
    assert (first == again).all()
    assert (first != other).any()


def test_the_folder_fits_into_32_mb(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 32e6


def test_a_seed_gives_the_same_weights_again() -> None:
    first, again, other = (build_network(seed, caption_words()).unet.conv_in.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_autoencoder_passes_any_colours_on_the_grid() -> None:
    vae = build_vae(128)
    rng = np.random.default_rng(0)
    sprites = np.stack([draw_sprite(sample_spec(rng), rng) for _ in range(8)])
    noise = rng.integers(0, 256, (4, 16, 16, 3), np.uint8)
    demo = np.stack([np.asarray(image) for image, _ in draw_demo_set()[:8]])
    assert min(reconstruction_db(vae, pixels) for pixels in (sprites, noise, demo)) > 45


def test_whitened_latents_are_white_and_decode_as_before() -> None:
    vae = build_vae(128)
    rng = np.random.default_rng(0)
    sprites = np.stack([draw_sprite(sample_spec(rng), rng) for _ in range(12)])
    whiten_latents(vae, encode_sprites(vae, sprites))
    latents = encode_sprites(vae, sprites) * vae.config["scaling_factor"]
    flat = latents.transpose(0, 1).reshape(4, -1).double()
    assert_within(flat.mean(1), torch.zeros(4), half_the_digits(torch.float32))  # the encoder and the fold are in fp32
    assert_same_function(torch.cov(flat), torch.eye(4), torch.float32)
    assert reconstruction_db(vae, sprites) > 45
