"""Captioners of a few thousand random weights, in folders as the hub has them."""

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

SIDE_PX = 32
MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
WORDS = [*MARKS, "a", "the", "red", "blue", "green", "potion", "sword", "knight", "of", "with", "and", "small", "shiny"]
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": SIDE_PX, "patch_size": 16,
}  # fmt: skip
TEXT = {
    "vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64,
}  # fmt: skip
CHAT = (
    "{% for m in messages %}{% for c in m['content'] %}{{ '<image>' if c['type'] == 'image' else ' ' + c['text'] }}"
    "{% endfor %}{% endfor %} the"
)


def make_tokenizer() -> Any:
    """A tokenizer of whole words."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=words, additional_special_tokens=["<image>"], **names)


def save(folder: Path, model: Any, *parts: Any) -> Path:
    """Write a model that answers at least three tokens, with what belongs to it."""
    generation = model.generation_config
    generation.min_new_tokens, generation.suppress_tokens = 3, [0, 1, 3, 4]
    model.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def make_blip2(folder: Path) -> Path:
    """The real BLIP-2 classes over OPT."""
    torch.manual_seed(0)
    config = hf.Blip2Config(
        vision_config=VISION,
        qformer_config={**TEXT, "intermediate_size": 32, "encoder_hidden_size": 16},
        text_config={**TEXT, "model_type": "opt", "ffn_dim": 32, "word_embed_proj_dim": 16},
        num_query_tokens=4,
        image_token_index=4,
    )
    processor = hf.Blip2Processor(
        BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}), make_tokenizer(), num_query_tokens=4
    )
    model = hf.Blip2ForConditionalGeneration(config)
    _never_say_marks(model.language_model)
    return save(folder, model, processor)


def make_blip(folder: Path) -> Path:
    """The real BLIP classes."""
    torch.manual_seed(0)
    text = {**TEXT, "encoder_hidden_size": 16, "intermediate_size": 32, "sep_token_id": 2}
    config = hf.BlipConfig(vision_config=VISION, text_config=text, projection_dim=16, image_text_hidden_size=16)
    processor = hf.BlipProcessor(BlipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}), make_tokenizer())
    return save(folder, hf.BlipForConditionalGeneration(config), processor)


def make_vit_gpt2(folder: Path) -> Path:
    """An encoder and a decoder without a processor of their own, as ViT-GPT2 has it."""
    torch.manual_seed(0)
    decoder = hf.GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=2
    )
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(hf.ViTConfig(**VISION), decoder)
    config.decoder_start_token_id, config.pad_token_id = 0, 1
    model = hf.VisionEncoderDecoderModel(config=config)
    model.generation_config.decoder_start_token_id, model.generation_config.pad_token_id = 0, 1
    images = ViTImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX})
    return save(folder, model, images, make_tokenizer())


def make_llava(folder: Path) -> Path:
    """A model one talks to: it has a chat template."""
    torch.manual_seed(0)
    text = {**TEXT, "model_type": "llama", "intermediate_size": 32, "num_key_value_heads": 2}
    vision = {**VISION, "model_type": "clip_vision_model"}
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=4, vision_feature_layer=-1)
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE_PX}, crop_size={"height": SIDE_PX, "width": SIDE_PX})
    processor = hf.LlavaProcessor(
        images, make_tokenizer(), patch_size=16, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    )  # fmt: skip
    return save(folder, hf.LlavaForConditionalGeneration(config), processor)


@torch.no_grad()
def _never_say_marks(opt: Any) -> None:
    """Make every word likelier than every mark, for BLIP-2 does not hand its generation settings on."""
    words = opt.get_input_embeddings().weight
    words[:, 0] = 1
    words[: len(MARKS), 0] = -1
    opt.model.decoder.final_layer_norm.bias[0] = 10
