"""Files that are not what their names say, as people have them, and what each is told to be."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable

import torch
from safetensors.torch import save

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 6938078334\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html lang='en'><head><title>Hugging Face</title></head></html>"
WHOLE = save({"lora_unet_conv_in.lora_down.weight": torch.zeros(2, 36)})


def _zip(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"x")
    return content.getvalue()


def _torch(legacy: bool) -> bytes:
    content = io.BytesIO()
    torch.save({"x": torch.zeros(1)}, content, _use_new_zipfile_serialization=not legacy)
    return content.getvalue()


def _header(entries: dict[str, object], tensors: bytes) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + tensors


STRANGERS: dict[str, tuple[bytes, str]] = {
    "lfs": (LFS, "a Git LFS pointer.*run `git lfs pull`"),
    "annex": (b"/annex/objects/SHA256E-s1--ab.safetensors\n", "a git-annex pointer.*`git annex get`"),
    "page": (PAGE, r"a web page \(HTML\).*download the file itself"),
    "refusal": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document .*AccessDenied"),
    "json": (b'{"error":{"message":"Invalid token"}}', "JSON that begins .*Invalid token.*a server may have sent"),
    "json like a header": (b'{"data":{"error": 1}}', "JSON that begins"),
    "index": (b'{"metadata": {}, "weight_map": {"a": "b"}}', "the list .* of a model in several files; give the"),
    "text": (b"Access to model x is restricted.", "a text file that begins 'Access to model x is restricted"),
    "blank": (b"\n \n", "empty: a download or a copy that failed; fetch it again"),
    "empty": (b"", "empty: a download or a copy that failed; fetch it again"),
    "zeros": (bytes(5000), "full of zeros: a download that was not finished; fetch it again"),
    "torch": (_torch(legacy=False), "a pickle, which can run any code when it is read, so it is not; ask for"),
    "old torch": (_torch(legacy=True), "a pickle, which can run any code"),
    "pickle": (pickle.dumps({"x": 1}), "a pickle, which can run any code"),
    "half a zip": (_torch(legacy=False)[:300], "a pickle, which can run any code"),
    "zip": (_zip("lora.safetensors"), "a zip archive; unpack it"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(20), "a gzip archive; give a .safetensors file"),
    "gguf": (b"GGUF\3\0\0\0" + bytes(20), "a GGUF file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG picture"),
    "unknown": (b"\x05\x01" * 40, "not a safetensors file, nor of another kind known here"),
    "four bytes": (WHOLE[:4], "not a safetensors file"),
    "half a header": (WHOLE[:30], "not a whole safetensors file: cut short, 30 of at least .*; fetch it again"),
    "half the numbers": (WHOLE[:-100], f"cut short, {len(WHOLE) - 100} of at least {len(WHOLE)} bytes are there"),
    "more": (WHOLE + b"x", "not a whole safetensors file: damaged"),
    "overlapping": (
        _header({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"}, bytes(8)),
        "not a whole safetensors file: damaged",
    ),
}  # fmt: skip
"""Content, and a pattern of what is told of it."""

Numbers = Callable[[], dict[str, torch.Tensor]]
Q = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
K = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def plain(width: int = 640, name: str = Q, inputs: int | None = None) -> dict[str, torch.Tensor]:
    """One layer of a LoRA of rank 4."""
    shapes = {"lora_down.weight": (4, inputs or width), "lora_up.weight": (width, 4)}
    return {f"{name}.{end}": torch.full(shape, 0.01) for end, shape in shapes.items()} | {
        f"{name}.alpha": torch.tensor(4.0)
    }


def spoilt(*values: float) -> dict[str, torch.Tensor]:
    """A LoRA with these numbers in its up matrix; all nan where none are given."""
    tensors = {**plain(), **plain(name=Q.replace("to_q", "to_v"))}
    up = tensors[f"{Q}.lora_up.weight"].flatten()
    up[: len(values) or None] = torch.tensor(values or float("nan"))
    tensors[f"{Q}.lora_up.weight"] = up.view(640, 4)
    return tensors


def named(*ends: str, module: str = Q) -> dict[str, torch.Tensor]:
    return {f"{module}.{end}": torch.ones(4, 4) for end in ends}


NOT_FINITE: dict[str, tuple[Numbers, str]] = {
    "one nan": (lambda: spoilt(float("nan")), r"1 of 2 layers hold nan.*nan in \S+_to_q, lora_up.weight: 1 of 2560"),
    "one inf": (lambda: spoilt(0.0, float("-inf")), "1 of 2 layers hold nan or inf.*inf in .*: 1 of 2560"),
    "all nan": (lambda: spoilt(), "1 of 2 layers hold nan or inf.*: 2560 of 2560 numbers"),
    "alpha": (lambda: {**plain(), f"{Q}.alpha": torch.tensor(float("nan"))}, "1 of 1 layers hold nan.*alpha: 1 of 1"),
}  # fmt: skip

UNREAD: dict[str, tuple[Numbers, str]] = {
    "glora": (lambda: named("a1.weight", "a2.weight", "b1.weight", "b2.weight", "alpha"), "holds GLoRA in 1 layer\\b"),
    "oft": (lambda: named("oft_blocks"), "holds OFT in 1 layer\\b"),
    "oft of peft": (lambda: named("oft_R.default.weight", module="base_model.model.mid_block.x"), "holds OFT in 1"),
    "boft": (lambda: named("boft_R", "boft_s", module="base_model.model.mid_block.x"), "holds OFT in 1 layer\\b"),
    "ia3": (lambda: named("weight", "on_input"), "holds IA3 in 1 layer\\b"),
    "ia3 of peft": (lambda: named("ia3_l", module="base_model.model.mid_block.x"), "holds IA3 in 1 layer\\b"),
    "vera": (lambda: named("vera_lambda_b", "vera_lambda_d", module="base_model.model.x"), "holds VeRA in 1 layer\\b"),
    "full": (lambda: named("diff", "diff_b"), "holds full differences in 1 layer\\b"),
    "norms": (lambda: named("w_norm", "b_norm"), "holds full differences in 1 layer\\b"),
    "lora and bias": (lambda: {**plain(), **named("diff_b")}, "holds LoRA with full differences in 1 layer\\b"),
    "tucker": (lambda: {**plain(), **named("lora_mid.weight")}, "holds LoRA with Tucker in 1 layer\\b"),
    "lokr and dora": (lambda: named("lokr_w1", "lokr_w2", "dora_scale"), "holds DoRA with LoKr in 1 layer\\b"),
    "loha and dora": (lambda: named("hada_w1_a", "dora_scale"), "holds DoRA with LoHa in 1 layer\\b"),
    "dora by inputs": (lambda: {**plain(), f"{Q}.dora_scale": torch.ones(1, 640)}, "holds DoRA in 1.*wd_on_output"),
    "another": (lambda: named("hra_u", module="base_model.model.mid_block.x"), r"unknown kind \(keys .* in \.hra_u\)"),
}  # fmt: skip
"""Adapters of kinds that are not read."""

MID_K = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
FLUX = "lora_unet_double_blocks_0_img_attn_qkv"
OTHER_BASES: dict[str, tuple[Numbers, str]] = {
    "sd15": (lambda: plain(320, K.replace("input_blocks_4_1", "input_blocks_1_1"), 768), "a LoRA for SD 1.5, not for"),
    "sd15 text": (lambda: plain(768, "lora_te_text_model_encoder_layers_0_self_attn_q_proj"), "a LoRA for SD 1.5"),
    "sd15 mid": (lambda: plain(1280, MID_K, 768), "a LoRA for SD 1.5, not for SDXL"),
    "sd2": (lambda: plain(640, K, 1024), "a LoRA for SD 2, not for SDXL"),
    "refiner": (lambda: plain(768, K, 1280), "a LoRA for the SDXL refiner, not for SDXL"),
    "flux": (lambda: plain(3072, FLUX), "a LoRA for FLUX, not for SDXL"),
    "sd3": (lambda: plain(1536, "lora_unet_joint_blocks_0_x_block_attn_qkv"), "a LoRA for SD 3, not for SDXL"),
    "wan": (lambda: plain(1536, "diffusion_model.blocks.0.self_attn.q"), "a LoRA for Wan, not for SDXL"),
}  # fmt: skip

OTHER_WEIGHTS: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "inversion": ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "it holds a textual-inversion embedding"),
    "inversion of sd15": ({"emb_params": (4, 768)}, "it holds a textual-inversion embedding"),
    "control lora": ({"lora_controlnet": (0,), "input_blocks.0.0.weight": (320, 4, 3, 3)}, "holds a ControlNet-LoRA"),
    "lllite": ({"lllite_unet_x.down.0.weight": (4, 4)}, "it holds a ControlNet-LLLite"),
    "controlnet": ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3)}, "it holds a ControlNet;"),
    "ip adapter": ({"image_proj.proj.weight": (4, 4)}, "it holds an IP-Adapter"),
    "sdxl": (
        {"model.diffusion_model.out.2.weight": (4, 320, 3, 3), "conditioner.embedders.1.model.x": (1,)},
        "it holds an SDXL model; such a file is given as model.path=",
    ),
    "sd15 whole": ({"cond_stage_model.transformer.x": (1,), "model.diffusion_model.x": (1,)}, "Stable Diffusion 1.5"),
    "flux whole": ({"double_blocks.0.img_attn.proj.bias": (1,)}, "it holds FLUX; give a LoRA that was trained on SDXL"),
    "vae": (
        {"encoder.conv_in.weight": (128, 3, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)},
        "it holds a VAE; such a file is given as model.vae=",
    ),
    "state": ({"/state_dict/unet.conv_in.lora_A.default.weight": (4, 4)}, "training state; the LoRA is lora.safet"),
    "unet": ({"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)}, "it holds a part of a model"),
    "nothing known": ({"conv.weight": (2,)}, "none of its 1 tensors belongs to an adapter, such as conv.weight"),
    "no tensors": ({}, "none of its 0 tensors belongs to an adapter; give a LoRA"),
}  # fmt: skip
"""Shapes of what is no LoRA."""
