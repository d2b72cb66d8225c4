"""Sprites judged as pixel art: metrics of images, and whether one set of images beats another."""
