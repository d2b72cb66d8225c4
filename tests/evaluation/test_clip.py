"""Prompt adherence by a CLIP model from a folder: the model's own similarity, and clear words where it is none."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from spritelora.errors import SpriteLoraError, WeightsError
from spritelora.evaluation.clip import PIXEL_MEAN, PIXEL_STD, ClipScorer, clip_pixels, load_clip
from tests.bounds import assert_within, half_the_digits

pytestmark = pytest.mark.numeric

SIDE_PX = 32
CPU = torch.device("cpu")
COSINE_ERROR = 100 * half_the_digits(torch.float32)
"""A score is 100 times the cosine of two vectors that have gone through networks in fp32."""
PROMPTS = ["pixel art, red potion", "pixel art, blue sword with a golden hilt"]


@pytest.fixture(scope="module")
def clip_folder(base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP of two small layers with the embedded base's tokenizer."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    tokenizer = CLIPTokenizer.from_pretrained(base.folder / "tokenizer")
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = small | {"image_size": SIDE_PX, "patch_size": 8}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def scorer(clip_folder: Path) -> ClipScorer:
    return load_clip(str(clip_folder), CPU)


def draw(count: int, side_px: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, side_px, side_px, 3), np.uint8))


def test_the_score_is_the_models_own_similarity(scorer: ClipScorer) -> None:
    images = draw(2, SIDE_PX)
    pixels = (torch.tensor(np.stack(images)) / 255 - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    tokens = scorer.tokenizer(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        seen = scorer.model(pixel_values=pixels.permute(0, 3, 1, 2).float(), **tokens)
    expected = 100 * seen.logits_per_image.diagonal() / scorer.model.logit_scale.exp()
    assert_within(scorer.score(images, PROMPTS), expected, COSINE_ERROR)


def test_batches_change_nothing(scorer: ClipScorer) -> None:
    images, prompts = draw(5, 16), [f"pixel art, {word}" for word in ("red", "blue", "green", "gray", "pink sword")]
    together = scorer.score(images, prompts)
    assert together.shape == (5,)
    assert len(set(together.round(6))) == 5
    assert_within(together, scorer.score(images, prompts, batch_size=2), COSINE_ERROR)
    assert scorer.score([], []).shape == (0,)


def test_sprites_are_enlarged_with_square_pixels() -> None:
    sprite = np.zeros((4, 4, 3), np.uint8)
    sprite[1, 2] = 255
    seen = clip_pixels(sprite, 32)
    assert len(np.unique(seen[0].numpy())) == 2
    assert clip_pixels(draw(1, 48)[0][:40], 32).shape == (3, 32, 32)


def test_long_prompts_are_named(scorer: ClipScorer, caplog: pytest.LogCaptureFixture) -> None:
    scorer.score(draw(1, 16), ["red potion " * 60])
    assert "CLIP reads 77: 'red potion red potion" in caplog.text


def test_images_and_prompts_must_be_pairs(scorer: ClipScorer) -> None:
    with pytest.raises(SpriteLoraError, match="1 images but 2 prompts; one for each"):
        scorer.score(draw(1, 16), PROMPTS)


def test_what_is_no_clip_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"clip=./nowhere: no such folder; give a folder of a CLIP model or a hub"):
        load_clip("./nowhere", CPU)
    with pytest.raises(WeightsError, match=r"no CLIP model in safetensors form can be loaded .*; give a folder"):
        load_clip(str(tmp_path), CPU)


def test_pickled_weights_are_not_read(clip_folder: Path, tmp_path: Path) -> None:
    pickled = shutil.copytree(clip_folder, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save(load_clip(str(clip_folder), CPU).model.state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="no CLIP model in safetensors form"):
        load_clip(str(pickled), CPU)
