"""The embedded base that learns real sprites: its network, its lessons, how it is trained and judged."""
