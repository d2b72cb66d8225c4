"""Makes the embedded base: draws sprites, trains the tiny SDXL on them, judges it and writes its folder."""

import logging
from pathlib import Path

import torch

from spritelora.commands.make_base.real_base import make_real_base
from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.making.base_loop import StepPlan
from spritelora.embedded.making.card import write_card
from spritelora.embedded.making.denoiser import initialise_unet, train_denoiser
from spritelora.embedded.making.drawn_set import TRAINING_STREAM, draw_sprites, encode_training_set
from spritelora.embedded.making.figures import Sampling, measure
from spritelora.embedded.making.judge import train_judge
from spritelora.embedded.model.tiny import TinySdxl, build_tiny, load_denoiser, write_parts
from spritelora.embedded.model.tiny_sample import load_pipeline

logger = logging.getLogger(__name__)


def make_base(config: MakeBaseConfig) -> None:
    """Train, going on from what the work folder holds, then write the diffusers folder, its figures and its card."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if config.data is not None:
        make_real_base(config, Path(config.data))
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work, output = Path(config.work), Path(config.output)
    work.mkdir(parents=True, exist_ok=True)
    parts = train_parts(config, work, device)
    write_parts(parts, output, torch.float16)
    judge_plan = StepPlan(
        config.judge_steps, learning_rate=2e-3, warmup_steps=50, decay_share=0.7, weight_decay=1e-3, average_decay=0.99
    )
    judge = train_judge(judge_plan, batch_size=128, seed=config.seed, state_path=work / "judge_state.safetensors")
    sampling = Sampling(config.samples_per_pair, config.sampling_steps, config.guidance)
    figures = measure(load_pipeline(output, device), judge, sampling, config.seed)
    logger.info("%s", figures)
    write_card(output, figures, sampling, config)


def train_parts(config: MakeBaseConfig, work: Path, device: torch.device) -> TinySdxl:
    """Train the UNet and the text encoders. Returns the parts with averaged weights, in fp32."""
    parts = build_tiny(config.seed)
    if config.start is None:
        initialise_unet(parts.unet)
    else:
        load_denoiser(parts, Path(config.start))
    parts.vae.to(device).eval().requires_grad_(False)
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.to(device)
        module.train()
    drawn = draw_sprites(config.num_sprites, config.seed, TRAINING_STREAM, held_out_pairs())
    latents = encode_training_set(parts, drawn, work / "latents.safetensors")
    plan = StepPlan(config.num_steps, config.learning_rate, warmup_steps=150, decay_share=0.9, weight_decay=1e-3)
    state_path = work / "denoiser_state.safetensors"
    train_denoiser(parts, latents, drawn.specs, plan, config.batch_size, config.seed, state_path)
    for module in (parts.unet, parts.text_encoder, parts.text_encoder_2):
        module.eval()
    return parts
