"""Text encoders with an adapter: nothing changes at first, all of it learns at its own rate, what cannot is refused."""

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from spritelora.adapters.layers.earlier_files import read_earlier
from spritelora.adapters.layers.lora import match_targets
from spritelora.adapters.layers.peft_layer import lora_layers
from spritelora.adapters.layers.text_layers import match_text_targets, text_layers_by_name, text_tensors
from spritelora.commands.train.assemble import add_adapter, build_module, build_objective
from spritelora.config.train.adapter_keys import AdapterKind
from spritelora.config.train.hardware_keys import Device, Precision
from spritelora.config.train.schema import TrainConfig
from spritelora.data.batch import Batch, Recipe, training_batch
from spritelora.data.cache import Cache
from spritelora.data.encode import Encoder
from spritelora.data.encoded import EncodedSet, EncodedSprite, EncodedView
from spritelora.errors import ConfigError, WeightsError
from spritelora.sdxl.files.base import BaseModel
from spritelora.sdxl.text import NO_TOKEN, TextEmbedding, load_text_stack, load_tokenizers, token_ids
from spritelora.training.hardware import Hardware, choose_hardware
from spritelora.training.module import LoraModule
from spritelora.training.optimizer import build_optimizer, group_by_rate
from spritelora.training.text_training import add_text, check_text
from tests.bounds import assert_within, rounding
from tests.composing import compose

pytestmark = pytest.mark.numeric

CAPTIONS = ["pixel art, red potion", "pixel art, key"]


@pytest.fixture(scope="module")
def hardware() -> Hardware:
    return choose_hardware(Device.cpu, Precision.fp32)


def make(config: TrainConfig, base: BaseModel, unet, hardware: Hardware) -> LoraModule:
    text = add_text(config, base, hardware)
    adapted = add_adapter(config, unet, read_earlier(config.adapter))
    return build_module(config, build_objective(config, base), adapted, Precision.fp32, text)


def token_batch(base: BaseModel, cache, caption_dropout: float = 0.0) -> Batch:
    texts = Encoder(base, Cache(cache), torch.device("cpu")).tokens(CAPTIONS)
    nothing = TextEmbedding(torch.empty(0), torch.empty(0), torch.full((2, 77), NO_TOKEN))
    latents = [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    sprites = [EncodedSprite(c, [EncodedView(z, [texts[c]])]) for c, z in zip(CAPTIONS, latents, strict=True)]
    encoded = EncodedSet(sprites, unconditional=nothing)
    return training_batch(encoded, 0, range(2), 1000, Recipe(caption_dropout=caption_dropout))


def test_a_new_adapter_encodes_as_the_base_to_the_bit_and_no_prompt_to_zeros(base, cache, hardware) -> None:
    encoder = Encoder(base, Cache(cache), torch.device("cpu"))
    cached, tokens = encoder.texts(CAPTIONS), encoder.tokens(CAPTIONS)
    stack = add_text(compose("text_encoders=attention_ff"), base, hardware)
    assert stack is not None
    for caption in CAPTIONS:
        live = stack.eval().encode(tokens[caption].tokens)
        assert live.states.equal(cached[caption].states)
        assert live.pooled.equal(cached[caption].pooled)
    batch = torch.stack([tokens[CAPTIONS[0]].tokens, torch.full((2, 77), NO_TOKEN)])
    states, pooled = stack(batch)
    plain_states, plain_pooled = load_text_stack(base, torch.float32)(batch)
    assert states.equal(plain_states)
    assert pooled.equal(plain_pooled)
    assert states[0].any()
    assert pooled[0].any()
    assert not states[1].any()
    assert not pooled[1].any()


def test_token_ids_are_those_that_the_tokenizers_give(base) -> None:
    tokenizers = load_tokenizers(base)
    ids = token_ids(tokenizers, CAPTIONS[0])
    for row, tokenizer in zip(ids, tokenizers, strict=True):
        words = tokenizer(CAPTIONS[0]).input_ids
        assert row[: len(words)].tolist() == words
        assert (row[len(words) :] == tokenizer.pad_token_id).all()


def test_a_step_reaches_every_adapted_layer_of_both_encoders(base, unet, cache, hardware) -> None:
    module = make(compose("text_encoders=attention_ff"), base, unet, hardware)
    assert module.text is not None
    module.objective.loss(module.unet, module.with_text(token_batch(base, cache))).backward()
    layers = text_layers_by_name(module.text.parts)
    assert {name.partition(".")[0] for name in layers} == {"text_encoder", "text_encoder_2"}
    for name, layer in layers.items():
        gradient = layer.lora_B["default"].weight.grad
        assert gradient is not None, name
        assert gradient.any(), name
    trained = {p for _, p in module.trainable()}
    assert {p for p in module.parameters() if p.grad is not None} == trained


def test_dropped_captions_teach_the_encoders_nothing(base, unet, cache, hardware) -> None:
    module = make(compose("text_encoders=attention"), base, unet, hardware)
    assert module.text is not None
    batch = module.with_text(token_batch(base, cache, caption_dropout=1.0))
    assert not batch.states.any()
    module.objective.loss(module.unet, batch).backward()
    assert not any(p.grad.any() for p in module.text.parameters() if p.grad is not None)
    assert any(p.grad is not None and p.grad.any() for p in module.unet.parameters())


def test_recomputed_activations_give_the_same_gradients_to_the_bit(base, hardware) -> None:
    tokens = torch.stack([token_ids(load_tokenizers(base), caption) for caption in CAPTIONS])
    gradients = []
    for typed in ((), ("hardware.gradient_checkpointing=true",)):
        stack = add_text(compose("text_encoders=attention", *typed), base, hardware)
        assert stack is not None
        states, pooled = stack(tokens)
        (states.square().sum() + pooled.square().sum()).backward()
        gradients.append([p.grad for p in stack.parameters() if p.requires_grad])
    assert stack.text_encoder_2.is_gradient_checkpointing
    for kept, recomputed in zip(*gradients, strict=True):
        assert torch.equal(kept, recomputed)


@pytest.mark.parametrize(("typed", "rate"), [((), 0.5e-3), (("text_encoders.lr=3e-5",), 3e-5)])
def test_the_encoders_have_a_rate_of_their_own(base, unet, hardware, typed: tuple[str, ...], rate: float) -> None:
    module = make(compose("text_encoders=attention", "optim.lr=1e-3", *typed), base, unet, hardware)
    named = dict(module.trainable())
    of_unet, of_text = (
        next(p for n, p in named.items() if n.startswith(part)) for part in ("unet.", "text_encoder_2.text_model.")
    )
    optimizer = module.make_optimizer(list(named.items()))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(of_unet)] == 1e-3
    assert rates[id(of_text)] == pytest.approx(rate)
    assert len(rates) == len(named)
    assert optimizer.param_groups[0]["lr"] == 1e-3  # the rate that is logged


def test_a_group_moves_by_its_own_rate() -> None:
    weights = {name: torch.nn.Parameter(torch.ones(3)) for name in ("unet.a", "text_encoder.a")}
    groups = group_by_rate(weights.items(), lambda name: 0.25 if name.startswith("text") else 1.0)
    optimizer = build_optimizer(torch.optim.SGD, groups, lr=0.1, weight_decay=0.0, betas=None, arguments={})
    for weight in weights.values():
        weight.grad = torch.ones(3)
    optimizer.step()
    assert_within(weights["unet.a"], torch.full((3,), 0.9), rounding(3))
    assert_within(weights["text_encoder.a"], torch.full((3,), 0.975), rounding(3))


def test_layers_of_full_size_encoders() -> None:
    sizes = {
        "text_encoder": (CLIPTextModel, {"hidden_size": 768, "num_hidden_layers": 12}),
        "text_encoder_2": (CLIPTextModelWithProjection, {"hidden_size": 1280, "num_hidden_layers": 32}),
    }
    with torch.device("meta"):
        encoders = {part: kind(CLIPTextConfig(**size)) for part, (kind, size) in sizes.items()}
    for option, count in (("attention", 172), ("attention_ff", 258)):
        matched = match_text_targets(encoders, compose(f"text_encoders={option}").text_encoders.modules)
        assert sum(map(len, matched.values())) == count
        assert not [path for path in matched["text_encoder"] if "layers.11." in path]
        assert [path for path in matched["text_encoder_2"] if "layers.31." in path]


def test_nothing_is_adapted_that_the_unet_does_not_read(base) -> None:
    """A change of the first encoder's last layer leaves what the UNet takes as it was, to the bit."""
    stack = load_text_stack(base, torch.float32)
    tokens = token_ids(load_tokenizers(base), CAPTIONS[0])
    before = stack.encode(tokens)
    adapted = set(match_text_targets(stack.parts, ["q_proj"])["text_encoder"])
    (left_out,) = set(match_targets(stack.text_encoder, ["q_proj"])) - adapted
    stack.text_encoder.get_submodule(left_out).weight.data.mul_(2)
    assert stack.encode(tokens).states.equal(before.states)
    stack.text_encoder.get_submodule(min(adapted)).weight.data.mul_(2)
    assert not stack.encode(tokens).states.equal(before.states)


def test_the_exported_names_are_kohyas_and_a_broken_adapter_is_refused(base, hardware) -> None:
    stack = add_text(compose("text_encoders=attention", "lora.rank=2", "lora.alpha=1"), base, hardware)
    assert stack is not None
    tensors = text_tensors(stack.parts, torch.float16)
    layers = [("te1", 0), ("te1", 1), ("te2", 0), ("te2", 1), ("te2", 2)]
    assert {key.partition(".")[0] for key in tensors} == {
        f"lora_{te}_text_model_encoder_layers_{n}_self_attn_{part}"
        for te, n in layers
        for part in ("q_proj", "k_proj", "v_proj", "out_proj")
    }
    assert {float(t) for key, t in tensors.items() if key.endswith(".alpha")} == {1.0}
    next(iter(lora_layers(stack.text_encoder_2).values())).lora_B["default"].weight.data[0] = float("nan")
    with pytest.raises(WeightsError, match=r"the adapter of text_encoder_2\.text_model\..* not finite"):
        text_tensors(stack.parts, torch.float16)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("text_encoders.modules=[q_prj]",), r"text_encoders\.modules: q_prj matches no layer; layers end in .*q_proj"),
        (("text_encoders=attention", "text_encoders.rank=65"), r"text_encoders\.rank=65 is above 64.*set text_enc"),
        (
            ("text_encoders=attention", "optim=prodigy"),
            r"text_encoders\.lr: 0\.5 beside optim\.lr 1, but Prodigy finds one rate.*set text_encoders\.lr=1",
        ),
    ],
)
def test_what_could_not_train_is_refused(base, typed: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_text(compose(*typed), base)


def test_other_kinds_of_adapters_are_refused_and_frozen_encoders_are_not_looked_at(base) -> None:
    config = compose("text_encoders=attention")
    config.adapter.kind = AdapterKind.loha
    with pytest.raises(ConfigError, match=r"adapter=loha with text_encoders: .* lora or rslora.*text_encoders=frozen"):
        check_text(config, base)
    config.text_encoders.modules = []
    check_text(config, base)
    check_text(compose("text_encoders=attention", "optim=prodigy", "text_encoders.lr=1"), base)


def test_rank_and_alpha_follow_the_unets_unless_set() -> None:
    def size(*typed: str) -> tuple[int, float]:
        config = compose("lora.rank=8", "lora.alpha=4", *typed)
        return config.text_encoders.settled_rank(config.lora), config.text_encoders.settled_alpha(config.lora)

    assert size() == (8, 4.0)
    assert size("text_encoders.rank=2") == (2, 1.0)
    assert size("text_encoders.rank=2", "text_encoders.alpha=2") == (2, 2.0)
