"""The metadata that ComfyUI, A1111 and model browsers read from a LoRA file."""

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

from PIL.Image import Image, Resampling

THUMBNAIL_PX = 256
MOST_COLOURS = 256
SDXL_CHANNELS = (320, 640, 1280)


@dataclass(frozen=True)
class LoraFacts:
    """The facts about a LoRA that its metadata tells. `settings`: further ss_* entries, by name without the prefix.

    `rank`, `alpha`: kohya's word for those that differ by layer is Dynamic. `network`: the module that kohya would
    read it with.
    """

    title: str
    base_name: str
    base_channels: tuple[int, ...]
    prediction: str
    resolution: int
    rank: int | str
    alpha: float | str
    captions: Sequence[str]
    settings: Mapping[str, object]
    network: str = "networks.lora"


def describe(facts: LoraFacts) -> dict[str, str]:
    """Metadata entries, all strings.

    A1111 hides a LoRA whose `ss_base_model_version` does not start with `sdxl_`.
    """
    version = "sdxl_base_v1-0" if facts.base_channels == SDXL_CHANNELS else "sdxl_spritelora_tiny"
    tags = Counter(t.strip() for c in facts.captions for t in c.split(",") if t.strip())
    kohya = {
        "v2": False,
        "base_model_version": version,
        "sd_model_name": facts.base_name,
        "network_module": facts.network,
        "network_dim": facts.rank,
        "network_alpha": facts.alpha,
        "output_name": facts.title,
        "resolution": f"({facts.resolution}, {facts.resolution})",
        "num_train_images": len(facts.captions),
        "tag_frequency": json.dumps({"sprites": dict(tags.most_common())}),
        **facts.settings,
    }
    spec = {
        "sai_model_spec": "1.0.1",
        "architecture": "stable-diffusion-xl-v1-base/lora",
        "implementation": "https://github.com/Stability-AI/generative-models",
        "title": facts.title,
        "date": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
        "resolution": f"{facts.resolution}x{facts.resolution}",
        "prediction_type": "v" if facts.prediction == "v_prediction" else "epsilon",
        "tags": "pixel art, sprite",
    }
    return {
        **{f"ss_{name}": str(value) for name, value in kohya.items()},
        **{f"modelspec.{name}": value for name, value in spec.items()},
    }


def read_network_args(metadata: Mapping[str, str]) -> dict[str, str]:
    """The entries of `ss_network_args`; none where it cannot be read."""
    try:
        told = json.loads(metadata.get("ss_network_args") or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def shared_tags(metadata: Mapping[str, str]) -> str:
    """The tags that every caption of the training set has, which call what the LoRA learned; empty where none does."""
    try:
        counts: dict[str, int] = {}
        for tags in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            counts |= tags
        num_images = int(metadata.get("ss_num_train_images", "0"))
    except (ValueError, TypeError, AttributeError):
        return ""
    return ", ".join(tag for tag, count in counts.items() if count >= num_images > 0)


@dataclass(frozen=True)
class SetColours:
    """The colours of a training set as text, `#rrggbb`. `matte`: the one under its clear pixels, None without any."""

    palette: tuple[str, ...]
    matte: str | None

    @property
    def facts(self) -> dict[str, object]:
        """The colours as settings of `LoraFacts`; none where they are more than an indexed image has."""
        if len(self.palette) > MOST_COLOURS:
            return {}
        matte = {} if self.matte is None else {"sprite_matte": self.matte}
        return {"sprite_colours": " ".join(self.palette), **matte}


def read_set_colours(metadata: Mapping[str, str]) -> SetColours | None:
    """The colours of the set that a LoRA was trained on; None where its file does not tell them, or not as colours."""
    palette = tuple(metadata.get("ss_sprite_colours", "").split())
    matte = metadata.get("ss_sprite_matte")
    told = [*palette, *([] if matte is None else [matte])]
    is_whole = 0 < len(palette) <= MOST_COLOURS and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in told)
    return SetColours(palette, matte) if is_whole else None


def thumbnail_url(picture: Image) -> str:
    """A picture as the data URL that `modelspec.thumbnail` holds: at most 256 pixels a side, by whole factors."""
    factor = -(-max(picture.size) // THUMBNAIL_PX)
    small = picture.convert("RGB").resize((picture.width // factor, picture.height // factor), Resampling.NEAREST)
    png = BytesIO()
    small.save(png, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(png.getvalue()).decode()}"
