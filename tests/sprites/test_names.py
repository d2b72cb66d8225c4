"""Prompts as parts of file names."""

import pytest

from spritelora.sprites.names import image_name


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("pixel art, 16-bit: Red POTION!", "03_pixel-art-16-bit-red-potion.png"),
        ("赤い薬", "03_赤い薬.png"),
        ("../?!", "03_prompt.png"),
        ("", "03_prompt.png"),
        ("a" * 500, f"03_{'a' * 120}.png"),
        ("pixel art, " + "iron " * 30 + "knight", f"03_pixel-art{'-iron' * 22}.png"),
    ],
)
def test_file_names_are_made_of_the_words(prompt: str, name: str) -> None:
    assert image_name(3, prompt) == name
