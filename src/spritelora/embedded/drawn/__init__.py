"""Sprites drawn by code: what the embedded base learns from, and the demo set."""

from spritelora.embedded.drawn.demo import draw_demo_set
from spritelora.embedded.drawn.drawn_captions import caption_words, write_caption
from spritelora.embedded.drawn.drawn_sprite import SpriteSpec, draw_sprite, sample_spec

__all__ = ["SpriteSpec", "caption_words", "draw_demo_set", "draw_sprite", "sample_spec", "write_caption"]
