"""The base model that comes with the package."""

from importlib import resources
from pathlib import Path


def embedded_base() -> Path:
    """The folder of the embedded base, a plain diffusers folder."""
    return Path(str(resources.files("spritelora"))) / "assets" / "tiny-sdxl"
