"""Train SDXL LoRAs on captioned pixel-art sprites."""

__version__ = "0.1.0"
