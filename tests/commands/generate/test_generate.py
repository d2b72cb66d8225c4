"""Prompts to sprites: native size, palette colours only, the same seed the same files; each mistake one message."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from spritelora.commands.generate.draw import settle_strength
from spritelora.commands.generate.finishing import (
    Finishing,
    finish_images,
    plan_finishing,
    with_colours_of_loras,
)
from spritelora.commands.generate.generate import generate
from spritelora.commands.generate.pack import encode_png
from spritelora.commands.train.exporter import colour_facts
from spritelora.config.commands.generate import BaseConfig, GenerateConfig
from spritelora.config.invocation import Invocation
from spritelora.config.train.data_keys import DataConfig
from spritelora.data.training_set import read_training_set
from spritelora.drawing.source import Source, find_source
from spritelora.errors import ConfigError, DatasetError, ResumeError, SpriteLoraError, WeightsError
from spritelora.evaluation.grid import Grid
from spritelora.runs.output import begin, is_occupied
from spritelora.sdxl.sample import start_noise
from spritelora.sprites.folder.sprite_folder import read_folder
from spritelora.sprites.pixels.image import apply_matte, read_sprite, scale_nearest, without_hidden_colour
from spritelora.sprites.sheets.sheet import cut_image
from tests.bounds import assert_same_pictures
from tests.commands.generate.test_finish import MATTE, colours_of
from tests.conftest import draw_sprite
from tests.records import write_record
from tests.running import Ready, either_start, run_python

PROMPTS = ["pixel art, red potion", "pixel art, yellow key"]


def make(folder: Path, cache: Path, **settings: object) -> Path:
    config = GenerateConfig(**{"prompts": list(PROMPTS), **settings})  # pyright: ignore
    config.data.cache = str(cache)
    config.sampler.steps = 3
    folder.mkdir()
    generate(config, Invocation(folder))
    return folder


def test_base_alone_native_size_given_palette_same_seed_same_files(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "p.hex").write_text("200020\nff4040\nffe060\n40a0ff\n")
    settings = {"palette": str(tmp_path / "p.hex"), "native_size": "16", "count": 2}
    first, second = (make(tmp_path / n, cache, **settings) for n in ("first", "second"))
    names = [f"pixel-art-{n}_{i}.png" for n in ("red-potion", "yellow-key") for i in (0, 1)]
    assert sorted(p.name for p in (first / "sprites").iterdir()) == names
    for file in sorted(p for p in first.rglob("*") if p.is_file()):
        assert file.read_bytes() == (second / file.relative_to(first)).read_bytes()
    allowed = {(0x20, 0, 0x20), (255, 0x40, 0x40), (255, 0xE0, 0x60), (0x40, 0xA0, 255)}
    for name in names:
        sprite = read_sprite(first / "sprites" / name)
        assert sprite.shape == (16, 16, 4)
        assert {tuple(c) for c in colours_of(sprite).tolist()} <= allowed
        assert Image.open(first / "sprites" / name).mode == "P"
        assert Image.open(first / "raw" / name).size == (128, 128)
    drawn = read_folder(first / "raw", 128)  # with their prompts they are a data set, such as one that regularises
    assert [(s.name, s.caption) for s in drawn] == list(zip(names, [p for p in PROMPTS for _ in (0, 1)], strict=True))
    cuts = cut_image(first / "sheet.png", None, all_frames=False, index=first / "sheet.json")
    for cut, name in zip(cuts, names, strict=True):
        assert (cut.pixels == read_sprite(first / "sprites" / name)).all()
    assert (first / "contact_sheet.png").is_file()


def test_a_run_brings_its_grid_palette_and_prompts(train_quickly, sprite_folder: Path, cache: Path) -> None:
    run = train_quickly(f"data.path={sprite_folder}", "trainer.max_steps=1")
    out = make(run.parent / "out", cache, run=str(run), prompts=[])
    (file,) = (out / "sprites").iterdir()
    assert file.name == "pixel-art-red-potion.png"
    sprite = read_sprite(file)
    known = np.concatenate([colours_of(read_sprite(f)) for f in sprite_folder.glob("*.png")])
    assert sprite.shape == (16, 16, 4)
    assert {tuple(c) for c in colours_of(sprite).tolist()} <= {tuple(c) for c in known.tolist()}


@pytest.mark.numeric
def test_loras_add_up_at_the_resolution_of_their_file(short_run: Path, cache: Path, tmp_path: Path, base) -> None:
    """Two halves of one LoRA draw what a plain diffusers pipeline draws with the whole of it."""
    from diffusers import StableDiffusionXLPipeline

    tensors = load_file(short_run / "checkpoint_final" / "lora.safetensors")
    file = tmp_path / "gems.safetensors"
    save_file(tensors, file, metadata={"ss_resolution": "(96, 96)"})
    halves = {
        "loras": [str(file)] * 2,
        "lora_strengths": [0.75, 0.25],
        "strength": 0.8,
        "native_size": "12",
        "count": 2,
    }
    out = make(tmp_path / "out", cache, **halves)
    drawn = np.stack([np.asarray(Image.open(f)) for f in sorted((out / "raw").glob("*.png"))]).astype(int)
    pipeline = StableDiffusionXLPipeline.from_pretrained(base.folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def theirs() -> np.ndarray:
        noise = start_noise(0, 2, 96).repeat(2, 1, 1, 1)
        prompts = [p for p in PROMPTS for _ in range(2)]
        settings = {"num_inference_steps": 3, "guidance_scale": 2.0, "height": 96, "width": 96, "latents": noise}
        return (pipeline(prompts, **settings, output_type="np").images * 255).round()  # pyright: ignore

    assert np.abs(theirs() - drawn).max() > 8
    pipeline.load_lora_weights(str(file), adapter_name="gems")
    pipeline.set_adapters("gems", 0.8)
    assert_same_pictures(theirs(), drawn)


@pytest.mark.parametrize("seed", range(6))
def test_a_clean_enlargement_gives_back_the_native_sprite(seed: int) -> None:
    sprite = without_hidden_colour(draw_sprite(seed))
    image = scale_nearest(apply_matte(sprite, MATTE), 8)
    for grid in (Grid(8), None):
        plan = Finishing(grid, colours_of(sprite), MATTE, is_transparent=True, opens_holes=True)
        (finished,) = finish_images([image], plan, ["a"])
        assert (finished == sprite).all()


def test_an_unknown_background_is_read_from_the_border_once_its_noise_is_locked_away() -> None:
    sprite = without_hidden_colour(draw_sprite(2))
    noise = np.random.default_rng(0).integers(-30, 31, (16, 16, 3))
    drawn = np.clip(apply_matte(sprite, (200, 220, 60)).astype(int) + noise * (sprite[..., 3:] == 0), 0, 255)
    palette = np.concatenate([colours_of(sprite)[:2] // 3, np.array([[200, 220, 60]], dtype=np.uint8)])
    plan = Finishing(Grid(8), palette, None, is_transparent=True, opens_holes=True)
    (finished,) = finish_images([scale_nearest(drawn.astype(np.uint8), 8)], plan, ["a"])
    assert (finished[0] == 0).all()
    assert (finished[:, -1] == 0).all()


def skull(bone: tuple[int, int, int]) -> np.ndarray:
    """A face with eyes and teeth of one colour inside of its outline, and a hole through it."""
    sprite = np.zeros((16, 16, 4), dtype=np.uint8)
    sprite[2:-2, 2:-2] = (60, 30, 20, 255)
    sprite[3:-3, 3:-3] = (210, 120, 60, 255)
    sprite[5:7, [5, 6, 9, 10]] = (*bone, 255)
    sprite[11, 5:11] = (*bone, 255)
    sprite[8:10, 7:9] = 0
    return sprite


@pytest.mark.parametrize("bone", [(255, 255, 255), (240, 238, 244), (150, 160, 240)])
@pytest.mark.parametrize("palette", ["training", "16", "none"])
def test_white_eyes_and_teeth_stay_on_a_white_matte(bone: tuple, palette: str, tmp_path: Path) -> None:
    """And a hole is opened where no sprite of the set has anything like the matte."""
    for number in range(3):
        Image.fromarray(skull(bone)).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("pixel art, skull\n")
    config = GenerateConfig(palette=palette, matte="#ffffff", native_size="16")
    config.data.path = str(tmp_path)
    plan = plan_finishing(config, find_source(None, []), 128)
    noise = np.random.default_rng(0).integers(-5, 1, (16, 16, 1)) * (skull(bone)[..., 3:] == 0)
    drawn = np.clip(apply_matte(skull(bone), MATTE).astype(int) + noise, 0, 255).astype(np.uint8)
    (finished,) = finish_images([scale_nearest(drawn, 8)], plan, ["a"])
    expected = skull(bone)
    if not plan.opens_holes:
        expected[8:10, 7:9, 3] = 255
    assert plan.opens_holes == (bone[0] < 200)
    assert (finished[..., 3] == expected[..., 3]).all()
    is_drawn = skull(bone)[..., 3] > 0
    assert (finished[is_drawn] == expected[is_drawn]).all()


def test_holes_stay_closed_where_the_training_sprites_cannot_be_read(tmp_path: Path, caplog) -> None:
    config = GenerateConfig(palette="none", matte="#ffffff", native_size="16")
    assert plan_finishing(config, find_source(None, []), 128).opens_holes
    config.data.path = str(tmp_path / "gone")
    assert not plan_finishing(config, find_source(None, []), 128).opens_holes
    assert re.search("background inside of sprites stays.*gone: no such folder", caplog.text)


def test_a_number_of_colours_holds_for_all_sprites_together() -> None:
    images = [scale_nearest(apply_matte(draw_sprite(seed), MATTE), 8) for seed in range(4)]
    plan = Finishing(Grid(8), None, MATTE, is_transparent=True, opens_holes=True, most=6)
    finished = finish_images(images, plan, list("abcd"))
    assert len(np.unique(np.concatenate([colours_of(s) for s in finished]), axis=0)) == 6


def gradients() -> list[np.ndarray]:
    """Two opaque native images of 1,024 colours each on a plain ground."""
    levels = np.arange(1024).reshape(32, 32)
    images = []
    for red in (40, 200):
        image = np.full((36, 36, 3), 255, dtype=np.uint8)
        image[2:-2, 2:-2] = np.stack([np.full_like(levels, red), levels // 5, levels % 128], axis=-1)
        images.append(image)
    return images


@pytest.mark.parametrize(("palette", "most"), [(None, 32), ("none", 255), ("40", 40)])
def test_every_sprite_is_indexed_and_32_colours_are_the_most_unless_asked(
    palette: str | None, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = GenerateConfig(palette=palette, native_size="36")
    with caplog.at_level("INFO"):
        sprites = finish_images(gradients(), plan_finishing(config, find_source(None, []), 36), ["a", "b"])
    counts = [len(colours_of(sprite)) for sprite in sprites]
    assert max(counts) <= most
    assert all(encode_png(sprite)[1] for sprite in sprites)
    assert all((sprite[..., 3] == 0).sum() == 36**2 - 32**2 for sprite in sprites)
    if palette != "none":
        together = colours_of(np.concatenate(sprites))
        assert len(together) == most
        (told,) = re.findall(r"colours: ([\d,]+) drawn -> (\d+); ([\d,]+) of 2,048 pixels changed", caplog.text)
        changed = sum((n != s[..., :3]).any(-1)[s[..., 3] > 0].sum() for n, s in zip(gradients(), sprites, strict=True))
        assert (told[1], int(told[2].replace(",", ""))) == (str(most), changed)
    assert "background: clear in 2 of 2 sprites" in caplog.text


def test_of_a_set_with_many_colours_32_of_its_own_are_chosen(tmp_path: Path) -> None:
    """And `palette=training` takes all of them."""
    for number, native in enumerate(gradients()):
        sprite = np.dstack([native, np.where((native == 255).all(-1), 0, 255)]).astype(np.uint8)
        Image.fromarray(sprite).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("pixel art, ramp\n")
    for palette, fewest, most in ((None, 32, 32), ("training", 33, 255)):
        config = GenerateConfig(palette=palette, native_size="36")
        config.data.path = str(tmp_path)
        plan = plan_finishing(config, find_source(None, []), 36)
        drawn = [np.clip(image.astype(int) + 2, 0, 255).astype(np.uint8) for image in gradients()]
        together = colours_of(np.concatenate(finish_images(drawn, plan, ["a", "b"])))
        known = np.concatenate([image[2:-2, 2:-2].reshape(-1, 3) for image in gradients()])
        assert {tuple(c) for c in together.tolist()} <= {tuple(c) for c in known.tolist()}
        assert fewest <= len(together) <= 2 * most


def test_a_lora_file_brings_palette_and_matte_of_its_set(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(skull((150, 160, 240))).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("pixel art, skull\n")
    sprites = read_training_set(DataConfig(path=str(tmp_path)), 128)
    metadata = {f"ss_{name}": str(value) for name, value in colour_facts(sprites).items()}
    config = GenerateConfig(native_size="16")
    plain = plan_finishing(config, find_source(None, []), 128)
    plan = with_colours_of_loras(plain, config, [metadata, metadata])
    assert plan.palette is not None
    assert {tuple(c) for c in plan.palette.tolist()} == {(60, 30, 20), (210, 120, 60), (150, 160, 240)}
    assert plan.matte == sprites.matte
    drawn = np.clip(apply_matte(skull((150, 160, 240)), sprites.matte).astype(int) - 9, 0, 255).astype(np.uint8)
    (finished,) = finish_images([scale_nearest(drawn, 8)], plan, ["a"])
    assert (finished == skull((150, 160, 240))).all()
    for told in ([metadata, {}], [{**metadata, "ss_sprite_matte": "white"}], [{}], []):
        assert with_colours_of_loras(plain, config, told) is plain
    asked = replace(config, palette="none")
    assert with_colours_of_loras(plain, asked, [metadata]) is plain


def test_a_set_of_more_colours_than_an_indexed_image_has_is_not_told(tmp_path: Path) -> None:
    Image.fromarray(gradients()[0]).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("pixel art, ramp\n")
    assert colour_facts(read_training_set(DataConfig(path=str(tmp_path)), 128)) == {}


def test_an_image_without_a_grid_is_named() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    with pytest.raises(DatasetError, match=r"raw/odd\.png: no grid of native pixels found"):
        finish_images([noise], Finishing(None, None, None, True, False), ["odd"])


def test_an_image_without_plain_background_stays_opaque_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    (sprite,) = finish_images([scale_nearest(noise, 8)], Finishing(Grid(8), None, None, True, False), ["a"])
    assert (sprite[..., 3] == 255).all()
    assert "no plain background in 1 of 1 images, which stay opaque: a; draw more of those prompts" in caplog.text


MISTAKES: list[tuple[dict, type[SpriteLoraError], str]] = [
    ({"prompts": []}, ConfigError, "nothing to draw"),
    ({"prompts": ["a", " "]}, ConfigError, "1 of 2 are empty"),
    ({"prompts": ["a", "a"]}, ConfigError, "'a' is there twice"),
    ({"prompts_file": "x.txt"}, ConfigError, "both given"),
    ({"prompts": [], "prompts_file": "/none.txt"}, ConfigError, "cannot be read"),
    ({"run": "a", "loras": ["b"]}, ConfigError, "both given"),
    ({"run": "/none"}, ConfigError, "run=/none: no such folder; give a run folder"),
    (
        {"loras": ["pyproject.toml"], "lora_strengths": [1.0, 2.0]},
        ConfigError,
        "lora_strengths has 2 numbers for 1 LoRAs",
    ),
    ({"loras": ["/none.safetensors"]}, WeightsError, "no such file"),
    (
        {"native_size": "15"},
        ConfigError,
        "does not divide the images' side of 128 px: native pixels would not be whole; 8 and 16 do",
    ),
    ({"native_size": "big"}, ConfigError, "give a number of native pixels"),
    ({"palette": "0"}, ConfigError, "a number of colours is from 1 to 256"),
    ({"palette": "training"}, ConfigError, "palette=training without run="),
    ({"palette": "none.gpl"}, DatasetError, "no such palette file"),
    ({"matte": "white"}, ConfigError, "matte: a colour is written #rrggbb"),
]


@pytest.mark.parametrize(("settings", "kind", "message"), MISTAKES, ids=lambda x: str(x) if isinstance(x, dict) else "")
def test_each_mistake_has_one_message(tmp_path: Path, cache: Path, settings: dict, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        make(tmp_path / "out", cache, **settings)
    assert not list((tmp_path / "out").iterdir())


Q = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
TEXT = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
FLUX = "lora_unet_double_blocks_0_img_attn_qkv"


@pytest.mark.parametrize(
    ("layers", "more", "kind", "message"),
    [
        ({FLUX: 64}, (), WeightsError, "a LoRA for FLUX, not for SDXL"),
        ({Q: 640}, (), ConfigError, "model.path is not set, and .* does not say which model it was trained on"),
        ({Q: 640}, ("model",), WeightsError, "a LoRA for SDXL, not for .*; set model.path to its base"),
        ({Q: 96, TEXT: 768}, ("model",), WeightsError, "for an unknown model, not for SDXL"),
        ({Q: 640}, ("mystery",), WeightsError, "1 unknown keys, such as mystery; what they do would be lost"),
    ],
)
def test_a_lora_that_does_not_fit_is_named(
    tmp_path: Path, cache: Path, base, layers: dict[str, int], more: tuple[str, ...], kind: type, message: str
) -> None:
    shapes = {f"{n}.lora_down.weight": (4, w) for n, w in layers.items()}
    shapes |= {f"{n}.lora_up.weight": (w, 4) for n, w in layers.items()}
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    save_file(tensors | ({"mystery": torch.zeros(1)} if "mystery" in more else {}), tmp_path / "gems.safetensors")
    model = BaseConfig(path=str(base.folder)) if "model" in more else BaseConfig()
    with pytest.raises(kind, match=message):
        make(tmp_path / "out", cache, loras=[str(tmp_path / "gems.safetensors")], model=model)
    assert not list((tmp_path / "out").iterdir())


def test_a_run_without_checkpoint_and_a_broken_record_are_named(tmp_path: Path, cache: Path) -> None:
    run = tmp_path / "run"
    write_record(run)
    with pytest.raises(ConfigError, match="the run has no checkpoint yet, so there is no LoRA to take; go on with it"):
        make(tmp_path / "a", cache, run=str(run))
    (run / "run.json").write_text("{}")
    with pytest.raises(ResumeError, match="not a run record"):
        make(tmp_path / "b", cache, run=str(run))


def test_sprites_are_drawn_at_the_strength_that_validation_found(tmp_path: Path) -> None:
    source = Source([], tmp_path, is_own=True)
    assert settle_strength(None, source) == 1.0
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "validation.json").write_text('{"best_strength": 0.5}')
    assert settle_strength(None, source) == 0.5
    assert settle_strength(0.8, source) == 0.8
    assert settle_strength(None, replace(source, is_own=False)) == 1.0
    (tmp_path / "validation" / "validation.json").write_text('{"best_strength": null}')
    assert settle_strength(None, source) == 1.0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept.png").write_text("mine")
    result = run_python("scripts/generate.py", f"output={tmp_path}", "prompts=a, b", ready="door")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "is not an empty folder, and nothing is overwritten: choose another with output=" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["kept.png"]


@either_start
def test_the_command(short_run: Path, tmp_path: Path, cache: Path, ready: Ready) -> None:
    script = ["scripts/generate.py", f"run={short_run}", f"output={tmp_path / 'out'}"]
    quick = (f"data.cache={cache}", "sampler.steps=1", "strength=0.5")
    done = run_python(*script, *quick, ready=ready)
    assert done.returncode == 0, done.stderr
    sprites, drawn, locked, cleared, written = done.stderr.splitlines()
    assert sprites.startswith("demo set: ")
    assert re.fullmatch(r".*lora\.safetensors: \d+ layers, strength 0\.5", drawn)
    assert re.fullmatch(r"colours: \d+ drawn -> \d+, each a colour of the training set; .* visibly", locked)
    assert cleared == "background: clear in 1 of 1 sprites"
    assert written == f"1 sprite of 16x16 px in {tmp_path / 'out'}"
    assert done.stdout == ""


def test_a_generate_that_was_killed_is_typed_again_and_nothing_else_goes_into_its_folder(
    tmp_path: Path, cache: Path
) -> None:
    """What a kill among the raw images leaves: the same settings go on, others are refused, nothing is left of it."""
    settings = {"prompts": ["a", "b"], "palette": "none", "native_size": "16"}
    whole, out = contents(make(tmp_path / "whole", cache, **settings)), tmp_path / "out"
    (out / "raw").mkdir(parents=True)
    config = GenerateConfig(**settings)  # pyright: ignore
    config.data.cache, config.sampler.steps = str(cache), 3
    begin(out, "generate.log", config)
    (out / "raw" / "a.png").write_bytes(whole["raw/a.png"])
    assert (is_occupied(out, "generate.log"), is_occupied(out, "train.log")) == (False, True)
    with pytest.raises(ConfigError, match="with other settings: type those again, or choose another folder"):
        generate(replace(config, prompts=["c"]), Invocation(out))
    generate(config, Invocation(out))
    assert contents(out) == whole
    assert is_occupied(out, "generate.log")


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
