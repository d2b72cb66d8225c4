"""A ComfyUI workflow that draws sprites with LoRAs, in the form of its window and in that of its web interface.

Class names, input names and their order are those of `nodes.py` of Comfy-Org/ComfyUI 02217e36.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spritelora.files import JsonObject

Link = tuple[str, int]
"""A node's id, and the number of its output."""

SOCKETS = {
    "CheckpointLoaderSimple": ((), ("MODEL", "CLIP", "VAE")),
    "LoraLoader": (("MODEL", "CLIP"), ("MODEL", "CLIP")),
    "CLIPTextEncode": (("CLIP",), ("CONDITIONING",)),
    "EmptyLatentImage": ((), ("LATENT",)),
    "KSampler": (("MODEL", "CONDITIONING", "CONDITIONING", "LATENT"), ("LATENT",)),
    "VAEDecode": (("LATENT", "VAE"), ("IMAGE",)),
    "ImageScale": (("IMAGE",), ("IMAGE",)),
    "SaveImage": (("IMAGE",), ()),
}
"""Types of the inputs that are links, in the order of declaration, and of the outputs."""

SCHEDULERS = {"leading": "ddim_uniform", "linspace": "normal", "trailing": "sgm_uniform"}
"""ComfyUI's name of the spacing of timesteps that diffusers calls so."""

SEED_CONTROL = "fixed"
"""The window's rule for the seed after a run: a value of the window alone, next to the seed."""


@dataclass(frozen=True)
class Drawing:
    """The settings of the drawing in a workflow.

    `loras`: file name and strength of each. `size`: of the drawn image, width before height. `factor`: pixels of the
    drawn image for one of the sprite. `spacing`: diffusers' name of how the timesteps lie. `prefix`: how names of saved
    files begin.
    """

    checkpoint: str
    loras: Sequence[tuple[str, float]]
    prompt: str
    negative_prompt: str
    size: tuple[int, int]
    factor: int
    seed: int
    steps: int
    guidance: float
    spacing: str
    prefix: str


@dataclass(frozen=True)
class Node:
    """A node: `inputs` by name in the order of declaration, values and links."""

    kind: str
    title: str
    inputs: JsonObject


def build_nodes(drawing: Drawing) -> dict[str, Node]:
    """The nodes by id, each after those it depends on."""
    nodes: dict[str, Node] = {}

    def put(kind: str, title: str, **inputs: Any) -> str:
        nodes[str(len(nodes) + 1)] = Node(kind, title, inputs)
        return str(len(nodes))

    base = put("CheckpointLoaderSimple", "SDXL", ckpt_name=drawing.checkpoint)
    model, clip = (base, 0), (base, 1)
    for name, strength in drawing.loras:
        loader = put(
            "LoraLoader", f"LoRA {name}",
            model=model, clip=clip, lora_name=name, strength_model=strength, strength_clip=strength,
        )  # fmt: skip
        model, clip = (loader, 0), (loader, 1)
    positive = put("CLIPTextEncode", "Prompt", text=drawing.prompt, clip=clip)
    negative = put("CLIPTextEncode", "Negative prompt", text=drawing.negative_prompt, clip=clip)
    width, height = drawing.size
    empty = put("EmptyLatentImage", "Size", width=width, height=height, batch_size=1)
    sampler = put(
        "KSampler", "Sampler",
        model=model, seed=drawing.seed, steps=drawing.steps, cfg=drawing.guidance, sampler_name="euler",
        scheduler=SCHEDULERS.get(drawing.spacing, "normal"), positive=(positive, 0), negative=(negative, 0),
        latent_image=(empty, 0), denoise=1.0,
    )  # fmt: skip
    image = put("VAEDecode", "Decode", samples=(sampler, 0), vae=(base, 2))
    small = put(
        "ImageScale", f"One pixel of {drawing.factor}",
        image=(image, 0), upscale_method="nearest-exact", width=width // drawing.factor,
        height=height // drawing.factor, crop="disabled",
    )  # fmt: skip
    put("SaveImage", "Save", images=(small, 0), filename_prefix=drawing.prefix)
    return nodes


def api_form(nodes: dict[str, Node]) -> JsonObject:
    """The form that ComfyUI's `/prompt` takes; its window opens it too."""
    return {
        node_id: {
            "class_type": node.kind,
            "inputs": {name: list(value) if _is_link(value) else value for name, value in node.inputs.items()},
            "_meta": {"title": node.title},
        }
        for node_id, node in nodes.items()
    }


def ui_form(nodes: dict[str, Node]) -> JsonObject:
    """The file that ComfyUI's window saves, version 0.4: nodes with places, and links between their slots."""
    links: list[list[Any]] = []
    for node_id, node in nodes.items():
        wanted = [value for value in node.inputs.values() if _is_link(value)]
        for slot, (source, output) in enumerate(wanted):
            links.append([len(links) + 1, int(source), output, int(node_id), slot, SOCKETS[node.kind][0][slot]])
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": [_ui_node(int(node_id), node, links) for node_id, node in nodes.items()],
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _ui_node(node_id: int, node: Node, links: list[list[Any]]) -> JsonObject:
    wanted, given = SOCKETS[node.kind]
    names = [name for name, value in node.inputs.items() if _is_link(value)]
    arriving = {link[4]: link[0] for link in links if link[3] == node_id}
    leaving = [[link[0] for link in links if link[1:3] == [node_id, slot]] for slot in range(len(given))]
    order = node_id - 1
    return {
        "id": node_id,
        "type": node.kind,
        "title": node.title,
        "pos": [40 + 360 * (order // 2), 60 + 320 * (order % 2)],
        "size": [320, 280],
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": [
            {"name": name, "type": kind, "link": arriving[slot]}
            for slot, (name, kind) in enumerate(zip(names, wanted, strict=True))
        ],
        "outputs": [
            {"name": kind, "type": kind, "links": leaving[slot], "slot_index": slot} for slot, kind in enumerate(given)
        ],
        "properties": {"Node name for S&R": node.kind},
        "widgets_values": list(_widget_values(node)),
    }


def _widget_values(node: Node) -> list[Any]:
    values: list[Any] = []
    for name, value in node.inputs.items():
        if not _is_link(value):
            values += [value, SEED_CONTROL] if name == "seed" else [value]
    return values


def _is_link(value: Any) -> bool:
    return isinstance(value, tuple)
