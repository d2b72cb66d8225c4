"""The keys of what is cut out of images, which `prepare` and training share."""

from spritelora.config.fields import key


def cut_background_key(where: str = "") -> str:
    """The field of `cut_background`. `where`: the images that it is about, as part of its meaning."""
    return key(
        "auto",
        f"plain backgrounds of opaque sprites{where}: auto (cut out where they are sure to be no part of the sprites), "
        "#rrggbb (this colour is, from the border inwards), keep (none is)",
        text=True,
    )


def cut_holes_key() -> bool:
    """The field of `cut_holes`."""
    return key(False, "cut the background's colour out where sprites enclose it too")


def half_transparent_key() -> str:
    """The field of `half_transparent`."""
    return key(
        "blend",
        "half-transparent pixels (soft shadows): blend (mixed with the colour under the sprite), threshold (solid from "
        "half on, else clear), drop (clear)",
        choices=("blend", "threshold", "drop"),
    )
