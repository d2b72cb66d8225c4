"""Text encoders that learn beside the UNet: what is refused, how they are made, what is told of them."""

import logging

from spritelora.adapters.files.layer_names import TEXT_ENCODERS
from spritelora.adapters.layers.lora import adapter_parameters, add_lora, check_rank
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.adapters.layers.text_layers import match_text_targets
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.schema import TrainConfig
from spritelora.diffusion.draws import derive_seed
from spritelora.errors import ConfigError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.text import TextStack, empty_text_stack, load_text_stack
from spritelora.training.hardware import Hardware
from spritelora.training.module import LoraModule

log = logging.getLogger(__name__)


def check_text(config: TrainConfig, base: BaseModel) -> None:
    """Raise ConfigError for text encoders that could not be trained as asked, before anything is in memory."""
    text = config.text_encoders
    if not text.are_trained:
        return
    if not config.adapter.kind.is_plain:
        raise ConfigError(
            f"adapter={config.adapter.kind.value} with text_encoders: adapters of text encoders are "
            f"{' or '.join(k.value for k in AdapterKind if k.is_plain)}; take one of these, or text_encoders=frozen"
        )
    lr = config.optim.lr
    if config.optim._target_.startswith("prodigyopt.") and text.settled_lr(lr) != lr:
        raise ConfigError(
            f"text_encoders.lr: {text.settled_lr(lr):g} beside optim.lr {lr:g}, but Prodigy finds one rate for all; "
            f"set text_encoders.lr={lr:g}, or take optim=adamw"
        )
    encoders = empty_text_stack(base).parts
    for part, targets in match_text_targets(encoders, text.modules).items():
        check_rank(encoders[part], targets, text.settled_rank(config.lora), "text_encoders.rank")


def add_text(config: TrainConfig, base: BaseModel, hardware: Hardware) -> TextStack | None:
    """The text encoders with a new adapter on the training device; None where they stay frozen."""
    if not config.text_encoders.are_trained:
        return None
    stack = adapt_text(config, load_text_stack(base, hardware.base_dtype).to(hardware.device))
    if config.hardware.gradient_checkpointing:
        stack.enable_gradient_checkpointing()
    return stack.train()


def adapt_text(config: TrainConfig, stack: TextStack) -> TextStack:
    """The frozen encoders with a new adapter where they are trained, else as they are."""
    text, lora = config.text_encoders, config.lora
    if not text.are_trained:
        return stack
    rank, alpha = text.settled_rank(lora), text.settled_alpha(lora)
    for number, (part, targets) in enumerate(match_text_targets(stack.parts, text.modules).items()):
        seed = derive_seed(config.seed, "text encoder", number)
        add_lora(stack.parts[part], targets, rank, alpha, lora.dropout, seed, config.adapter.kind)
    return stack


def rate_factor(config: TrainConfig, name: str) -> float:
    """The learning rate of a parameter over the one set, by its name in the module's state."""
    is_of_text = name.startswith(tuple(TEXT_ENCODERS))
    return config.text_encoders.settled_lr(config.optim.lr) / config.optim.lr if is_of_text else 1.0


def announce_text(config: TrainConfig, module: LoraModule) -> None:
    """Say how large the adapter of the text encoders is, where they have one."""
    text = config.text_encoders
    if module.text is not None:
        log.info(
            "text encoders rank %d, alpha %g: %.2f M trainable parameters in %d layers, learning rate %.3g; they "
            "stay in memory (%.0f M parameters) and run in each step",
            text.settled_rank(config.lora),
            text.settled_alpha(config.lora),
            sum(p.numel() for p in adapter_parameters(module.text)) / 1e6,
            len(lora_layers(module.text)),
            text.settled_lr(config.optim.lr),
            sum(p.numel() for p in module.text.parameters()) / 1e6,
        )


def text_facts(config: TrainConfig) -> dict[str, object]:
    """The entries of a LoRA file's metadata on trained text encoders; none where they are frozen."""
    text, lora = config.text_encoders, config.lora
    if not text.are_trained:
        return {}
    return {
        "unet_lr": config.optim.lr,
        "text_encoder_lr": text.settled_lr(config.optim.lr),
        "text_encoder_dim": text.settled_rank(lora),
        "text_encoder_alpha": text.settled_alpha(lora) * config.file_alpha / lora.settled_alpha,
    }
