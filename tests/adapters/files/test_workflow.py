"""The workflow has exactly the inputs that ComfyUI's own nodes declare, and links that meet."""

import pytest

from spritelora.adapters.files.workflow import SCHEDULERS, Drawing, api_form, build_nodes, ui_form
from spritelora.config.train.schema import Prediction
from spritelora.sdxl.files.base import load_scheduler

DECLARED = {
    "CheckpointLoaderSimple": ({"ckpt_name": str}, ("MODEL", "CLIP", "VAE")),
    "LoraLoader": (
        {"model": "MODEL", "clip": "CLIP", "lora_name": str, "strength_model": float, "strength_clip": float},
        ("MODEL", "CLIP"),
    ),
    "CLIPTextEncode": ({"text": str, "clip": "CLIP"}, ("CONDITIONING",)),
    "EmptyLatentImage": ({"width": int, "height": int, "batch_size": int}, ("LATENT",)),
    "KSampler": (
        {
            "model": "MODEL", "seed": int, "steps": int, "cfg": float, "sampler_name": str, "scheduler": str,
            "positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT", "denoise": float,
        },
        ("LATENT",),
    ),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "ImageScale": ({"image": "IMAGE", "upscale_method": str, "width": int, "height": int, "crop": str}, ("IMAGE",)),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": str}, ()),
}  # fmt: skip
"""Required inputs in their order, and outputs: `INPUT_TYPES` and `RETURN_TYPES` in nodes.py of Comfy-Org/ComfyUI at
02217e36a45bcbe2dd8fa24187aa5e053d9aea2e. (SaveImage's newest output IMAGE is left out: older versions have none.)"""

CHOICES = {
    "sampler_name": {"euler"},
    "scheduler": {"simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal"},
    "upscale_method": {"nearest-exact", "bilinear", "area", "bicubic", "lanczos"},
    "crop": {"disabled", "center"},
}
"""The same file's ImageScale, and SCHEDULER_HANDLERS of comfy/samplers.py."""


def drawing(**changes) -> Drawing:
    settings = {
        "checkpoint": "sd_xl_base_1.0.safetensors",
        "loras": [("style.safetensors", 0.8), ("items.safetensors", 0.5)],
        "prompt": "pixel art, red potion",
        "negative_prompt": "blurry",
        "size": (1024, 1024),
        "factor": 16,
        "seed": 7,
        "steps": 25,
        "guidance": 8.0,
        "spacing": "leading",
        "prefix": "style",
    }
    return Drawing(**{**settings, **changes})


def test_an_oblong_image_has_its_width_and_height_and_is_scaled_by_one_factor() -> None:
    nodes = {node.kind: node.inputs for node in build_nodes(drawing(size=(704, 1408))).values()}
    assert [nodes["EmptyLatentImage"][side] for side in ("width", "height")] == [704, 1408]
    assert [nodes["ImageScale"][side] for side in ("width", "height")] == [44, 88]


def test_the_api_form_is_what_the_nodes_declare() -> None:
    prompt = api_form(build_nodes(drawing()))
    assert {node["class_type"] for node in prompt.values()} == set(DECLARED)
    for node in prompt.values():
        declared, _ = DECLARED[node["class_type"]]
        assert list(node["inputs"]) == list(declared)
        for name, kind in declared.items():
            value = node["inputs"][name]
            if isinstance(kind, str):
                source, slot = value
                assert DECLARED[prompt[source]["class_type"]][1][slot] == kind
            else:
                assert type(value) is kind
                assert value in CHOICES.get(name, {value})


def test_the_loras_are_chained_and_the_last_one_draws() -> None:
    prompt = api_form(build_nodes(drawing()))
    by_class: dict[str, list[str]] = {}
    for node_id, node in prompt.items():
        by_class.setdefault(node["class_type"], []).append(node_id)
    (base,), (first, second) = by_class["CheckpointLoaderSimple"], by_class["LoraLoader"]
    assert prompt[first]["inputs"] == {
        "model": [base, 0], "clip": [base, 1],
        "lora_name": "style.safetensors", "strength_model": 0.8, "strength_clip": 0.8,
    }  # fmt: skip
    assert prompt[second]["inputs"]["model"] == [first, 0]
    assert prompt[second]["inputs"]["clip"] == [first, 1]
    (sampler,) = by_class["KSampler"]
    inputs = prompt[sampler]["inputs"]
    assert inputs["model"] == [second, 0]
    texts = [prompt[inputs[side][0]]["inputs"] for side in ("positive", "negative")]
    assert texts == [
        {"text": "pixel art, red potion", "clip": [second, 1]},
        {"text": "blurry", "clip": [second, 1]},
    ]
    (scale,) = by_class["ImageScale"]
    assert (prompt[scale]["inputs"]["width"], prompt[scale]["inputs"]["height"]) == (64, 64)


def test_the_links_of_the_window_form_meet() -> None:
    nodes = build_nodes(drawing())
    window, prompt = ui_form(nodes), api_form(nodes)
    by_id = {node["id"]: node for node in window["nodes"]}
    assert len(by_id) == len(prompt) == window["last_node_id"]
    assert len({link[0] for link in window["links"]}) == len(window["links"]) == window["last_link_id"]
    for link_id, source, output, target, slot, kind in window["links"]:
        assert link_id in by_id[source]["outputs"][output]["links"]
        assert by_id[source]["outputs"][output]["type"] == kind
        assert by_id[target]["inputs"][slot] == {**by_id[target]["inputs"][slot], "type": kind, "link": link_id}
        assert prompt[str(target)]["inputs"][by_id[target]["inputs"][slot]["name"]] == [str(source), output]
    ends = [i["link"] for node in window["nodes"] for i in node["inputs"]]
    starts = [link for node in window["nodes"] for o in node["outputs"] for link in o["links"]]
    assert sorted(ends) == sorted(starts) == sorted(link[0] for link in window["links"])
    assert len({tuple(node["pos"]) for node in window["nodes"]}) == len(by_id)


def test_the_window_form_holds_the_same_values_in_the_declared_order() -> None:
    nodes = build_nodes(drawing())
    for shown, node in zip(ui_form(nodes)["nodes"], api_form(nodes).values(), strict=True):
        declared, outputs = DECLARED[node["class_type"]]
        expected = [node["inputs"][name] for name, kind in declared.items() if not isinstance(kind, str)]
        if shown["type"] == "KSampler":
            expected.insert(1, "fixed")  # the window's own control after the seed
        assert shown["widgets_values"] == expected
        assert tuple(output["type"] for output in shown["outputs"]) == outputs
        assert [i["type"] for i in shown["inputs"]] == [kind for kind in declared.values() if isinstance(kind, str)]


@pytest.mark.parametrize("steps", [20, 25, 50])
def test_ddim_uniform_is_our_spacing(base, steps: int) -> None:
    """ComfyUI's ddim_uniform takes every (1000 // steps)th timestep from 1 on, the highest first."""
    scheduler = load_scheduler(base, Prediction.epsilon)
    scheduler.set_timesteps(steps)
    assert SCHEDULERS[scheduler.config["timestep_spacing"]] == "ddim_uniform"
    assert scheduler.timesteps.tolist() == list(range(1, 1000, 1000 // steps))[::-1]
