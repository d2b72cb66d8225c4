"""Real captioner classes on tiny random models: any of them captions a set, in batches."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spritelora.captioning.captioner import Answer, load_captioner, tidy
from spritelora.captioning.find import files_to_fetch, find_captioner
from spritelora.captioning.write import show_sprite
from spritelora.errors import WeightsError
from tests.captioning import tiny_models
from tests.conftest import draw_sprite

CPU = torch.device("cpu")
MODELS = [tiny_models.make_blip2, tiny_models.make_blip, tiny_models.make_vit_gpt2, tiny_models.make_llava]
SHORT = Answer(max_tokens=5, num_beams=2)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_blip2(tmp_path_factory.mktemp("models") / "blip2")


def pictures() -> list[Image.Image]:
    return [Image.fromarray(draw_sprite(seed, 32)[..., :3]) for seed in range(3)]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_every_kind_of_captioner_says_something(make: Callable[[Path], Path], tmp_path: Path) -> None:
    captioner = load_captioner(find_captioner(str(make(tmp_path / "model"))), CPU, SHORT)
    assert captioner.side_px == tiny_models.SIDE_PX
    texts = captioner.describe(pictures())
    assert len(texts) == 3
    for text in texts:
        assert text
        assert set(text.split()) <= set(tiny_models.WORDS)
        assert len(text.split()) <= SHORT.max_tokens


def test_what_is_said_does_not_depend_on_the_batch_and_depends_on_the_picture(blip2: Path) -> None:
    captioner = load_captioner(blip2, CPU, Answer(max_tokens=8, num_beams=1))
    images = [*pictures(), Image.new("RGB", (32, 32), "white"), Image.new("RGB", (32, 32), "red")]
    together = captioner.describe(images)
    assert together == [captioner.describe([image])[0] for image in images]
    pixels = captioner._inputs(images)["pixel_values"]
    assert not torch.equal(captioner.model.get_image_features(pixels[:1]).pooler_output,
                           captioner.model.get_image_features(pixels[-1:]).pooler_output)  # fmt: skip


@pytest.mark.parametrize("make", [tiny_models.make_blip2, tiny_models.make_blip], ids=lambda make: make.__name__)
def test_a_prompt_is_asked_and_not_part_of_the_caption(make: Callable[[Path], Path], tmp_path: Path) -> None:
    captioner = load_captioner(make(tmp_path / "model"), CPU, Answer("a small", max_tokens=4, num_beams=1))
    inputs = captioner._inputs(pictures())
    asked = captioner.tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True)
    assert asked == ["a small"] * 3
    assert not any(text.startswith("a small") for text in captioner.describe(pictures()))


def test_a_captioner_without_a_prompt_says_so(tmp_path: Path) -> None:
    captioner = load_captioner(tiny_models.make_vit_gpt2(tmp_path / "model"), CPU, Answer("a small"))
    with pytest.raises(WeightsError, match="this captioner takes no prompt"):
        captioner.describe(pictures())


def test_a_model_that_is_no_captioner_is_named(tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=20
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    tiny_models.make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"cannot be loaded as an image-to-text model .*choose another"):
        load_captioner(find_captioner(str(tmp_path)), CPU, SHORT)


def test_pickled_weights_are_refused(tmp_path: Path, blip2: Path) -> None:
    for file in blip2.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no safetensors weights in .*, and pickles are not read"):
        find_captioner(str(tmp_path))
    with pytest.raises(WeightsError, match="cannot be loaded as an image-to-text model"):
        load_captioner(tmp_path, CPU, SHORT)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/nowhere/blip2", r"no such folder, and not a hub id; give a folder .*captioner=/path/to/blip2"),
        ("blip2", "no such folder, and not a hub id"),
        ("{tmp}", r"no config\.json in"),
        ("Salesforce/blip2-opt-2.7b", r"neither a local folder nor to be had from the hub .*/path/to/blip2-opt-2\.7b"),
    ],
)
def test_a_captioner_that_cannot_be_found_is_answered(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        find_captioner(name.format(tmp=tmp_path))


def test_pickles_and_other_formats_are_not_downloaded() -> None:
    listing = ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "merges.txt"]
    others = ["pytorch_model.bin", "flax_model.msgpack", "onnx/model.json", "model.fp16.safetensors", "README.md"]
    assert files_to_fetch([*listing, *others]) == listing


def test_sprites_are_shown_enlarged_by_whole_factors_on_a_plain_matte(tmp_path: Path) -> None:
    sprite = draw_sprite(3)
    Image.fromarray(sprite).save(tmp_path / "a.png")
    shown = np.asarray(show_sprite(tmp_path / "a.png", 100))
    assert shown.shape == (100, 100, 3)
    top, left = (int(n.min()) for n in np.nonzero((shown != shown[0, 0]).any(axis=2)))
    native = shown[top : top + 12 * 6, left : left + 12 * 6]
    assert np.array_equal(native, sprite[2:-2, 2:-2, :3].repeat(6, 0).repeat(6, 1))
    assert not (shown == (255, 0, 255)).all(axis=2).any()  # the colour hidden under alpha 0


def test_an_enlarged_sprite_is_shown_as_the_native_one_and_a_large_picture_whole(tmp_path: Path) -> None:
    sprite = draw_sprite(3)
    Image.fromarray(sprite).save(tmp_path / "a.png")
    Image.fromarray(sprite.repeat(16, 0).repeat(16, 1)).save(tmp_path / "b.png")
    assert show_sprite(tmp_path / "a.png", 64).tobytes() == show_sprite(tmp_path / "b.png", 64).tobytes()
    noise = np.random.default_rng(0).integers(0, 255, (40, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "c.png")
    shown = np.asarray(show_sprite(tmp_path / "c.png", 32))
    assert shown.shape == (70, 70, 3)
    assert np.array_equal(shown[15:55], noise)


def test_answers_are_tidied() -> None:
    assert tidy(" a red\npotion . ", "") == "a red potion"
    assert tidy("Question: what? Answer: a key.", "question: what?  answer:") == "a key"
