"""Train, export to each form, load elsewhere, draw: the image is the live model's, whatever alpha and layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import PeftModel
from safetensors.torch import load_file

from spritelora.adapters.files.lora_file import Form, read_lora_file
from spritelora.adapters.files.lowrank import distance
from spritelora.adapters.layers.lora import add_lora
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.commands.export.export import export
from spritelora.commands.lora.lora import work_on_files
from spritelora.config.commands.export import ExportConfig, LoraFormat
from spritelora.config.commands.lora import LoraFilesConfig, Mode
from spritelora.config.train.adapter_keys import SaveDtype
from spritelora.sdxl.files.base import BaseModel, Unet, load_unet
from spritelora.sdxl.sample import start_noise
from tests.bounds import assert_same_function, size_error, stored_error
from tests.commands.conftest import train_short

pytestmark = pytest.mark.numeric

SIDE_PX, STEPS = 64, 3
PROMPTS = ["pixel art, red potion", "pixel art, yellow key"]
CONVOLUTIONS = "targets.modules=[to_q,to_out.0,ff.net.2,conv1,conv_shortcut,conv,conv_in]"


@pytest.fixture(scope="module")
def uneven_run(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rank 4 with alpha 3 on attention, feed-forward and convolutions of every kind, 1x1 and with a stride."""
    folder = tmp_path_factory.mktemp("uneven") / "gems"
    return train_short(folder, cache, "lora.rank=4", "lora.alpha=3", CONVOLUTIONS, "trainer.max_steps=3")


@pytest.fixture(params=["short_run", "uneven_run"])
def run(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def draw(pipeline: StableDiffusionXLPipeline) -> np.ndarray:
    """Images between 0 and 1, unrounded."""
    pipeline.set_progress_bar_config(disable=True)
    noise = start_noise(5, len(PROMPTS), SIDE_PX)
    settings = {"num_inference_steps": STEPS, "guidance_scale": 2.0, "height": SIDE_PX, "width": SIDE_PX}
    return np.asarray(pipeline(PROMPTS, **settings, latents=noise, output_type="np").images)  # pyright: ignore


def pipeline_of(base: BaseModel, unet: Unet) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline.from_pretrained(base.folder, unet=unet, torch_dtype=torch.float32)


def live_unet(base: BaseModel, run: Path) -> Unet:
    """The UNet as training held it at its end, with the adapter's own layers and numbers."""
    state = load_file(run / "checkpoint_final" / "training_state" / "state.safetensors")
    factors = {n.removeprefix("/state_dict/unet."): t for n, t in state.items() if ".lora_" in n and "state_dict" in n}
    lora = read_lora_file(run / "checkpoint_final" / "lora.safetensors")
    ((rank, alpha),) = {(change.rank, change.alpha) for change in lora.modules.values()}
    unet = load_unet(base, torch.float32)
    paths = sorted({name.partition(".lora_")[0] for name in factors})
    add_lora(unet, paths, rank, alpha, dropout=0.0, seed=1)
    missing, unexpected = unet.load_state_dict(factors, strict=False)
    assert not unexpected
    assert not [name for name in missing if ".lora_" in name]
    return unet.eval()


def test_an_export_in_any_form_draws_the_live_models_image(base: BaseModel, run: Path, tmp_path: Path) -> None:
    live = live_unet(base, run)
    ours, plain = draw(pipeline_of(base, live)), draw(pipeline_of(base, load_unet(base, torch.float32)))
    assert np.abs(ours - plain).max() > 0.05
    for form in LoraFormat:
        output = tmp_path / ("peft" if form is LoraFormat.peft else f"{form.value}.safetensors")
        export(ExportConfig(run=str(run), format=form, dtype=SaveDtype.fp32, output=str(output)))
        theirs = pipeline_of(base, load_unet(base, torch.float32))
        if form is LoraFormat.peft:
            theirs.unet = PeftModel.from_pretrained(theirs.unet, str(output)).get_base_model()
        else:
            theirs.load_lora_weights(str(output))
        assert lora_layers(theirs.unet).keys() == lora_layers(live).keys()
        assert_same_function(draw(theirs), ours, torch.float32)


@pytest.mark.parametrize("dtype", [SaveDtype.fp32, SaveDtype.fp16])
def test_a_merge_of_one_and_a_resize_to_its_rank_change_nothing(run: Path, tmp_path: Path, dtype: SaveDtype) -> None:
    whole = tmp_path / "whole.safetensors"
    export(ExportConfig(run=str(run), dtype=SaveDtype.fp32, output=str(whole)))
    before = read_lora_file(whole).modules
    for mode, rank in ((Mode.merge, None), (Mode.resize, max(change.rank for change in before.values()))):
        output = tmp_path / f"{mode.value}.safetensors"
        work_on_files(LoraFilesConfig(mode=mode, loras=[str(whole)], rank=rank, dtype=dtype, output=str(output)))
        after = read_lora_file(output)
        assert (after.form, after.modules.keys()) == (Form.kohya, before.keys())
        for name, change in before.items():
            written = after.modules[name]
            # Factors are rounded to fp32 when they are cut and when alphas are evened, then as they are stored.
            bound = 2 * stored_error(written, torch.float32) + stored_error(written, written.down.dtype)
            assert distance(written, change) <= bound + size_error(written, change), (mode, name)
