"""A file of prompts is read by one rule by all commands, and what would be drawn as words is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from spritelora.commands.generate.generate import read_prompts
from spritelora.config.commands.generate import GenerateConfig
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.drawing.source import Source
from spritelora.errors import ConfigError


def written(folder: Path, text: str | bytes) -> str:
    (folder / "p.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / "p.txt")


def test_comments_and_blank_lines_are_no_prompts(tmp_path: Path) -> None:
    """In a file from Windows, with a byte-order mark; # within a line, a dash and U+2028 are the prompt's own."""
    text = "\ufeffa cat\r\n# mine\r\n\r\n  #2\r\n  an ümlaut \r\na key, #1 -- gold\r\ntwo\u2028words\r\n--- three"
    assert read_prompts_file(written(tmp_path, text)) == [
        "a cat",
        "an ümlaut",
        "a key, #1 -- gold",
        "two\u2028words",
        "--- three",
    ]
    config = GenerateConfig(prompts_file=written(tmp_path, text))
    assert read_prompts(config, Source([])) == read_prompts_file(config.prompts_file or "")
    with pytest.raises(ConfigError, match="both given"):
        read_prompts(replace(config, prompts=["a"]), Source([]))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a\n# b\nc --n blurry",
            r"line 3: --n: a line here is the prompt alone.*take the options out; .* set sampler\.negative_prompt$",
        ),
        ("a cat --w 512 --h 512", "line 1: --w, --h: a line here is the prompt alone.* set model.resolution$"),
        ("a cat --d 7", r"line 1: --d: .* set the seed \(generate: seed, validate: sampler\.seed\)$"),
        ("a cat\t--s 20 --l 7.5", "line 1: --s, --l: .* set sampler.steps, sampler.guidance$"),
        ("a cat --am 0.5 --ss euler", "line 1: --am, --ss: a line here is the prompt alone.*; take the options out$"),
        (
            '--prompt "a cat" --negative_prompt "b"',
            "line 1: --prompt, --negative_prompt: a line here is the prompt alone",
        ),
        ("\n".join(f"a {i} --n b" for i in range(9)), "line 3: .*\n.* and 6 more lines with options; take"),
        ("a cat\nb\na cat", "lines 1 and 3 are the same: 'a cat'; leave one out, .*count .*images_per_prompt"),
        ("a cat\n" + 30_000 * "a b ", "line 2: is over 65,536 bytes; replace or remove it$"),
        ("", "holds no prompt; write one a line"),
        ("\n # a\n\n", "holds no prompt; write one a line"),
        (b"\xff\xfea\0", r"cannot be read as UTF-8 text .*; give a text file in UTF-8"),
    ],
)
def test_what_is_not_a_prompt_is_named_by_its_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        read_prompts_file(written(tmp_path, text))
    assert str(error.value).startswith(f"prompts_file={tmp_path / 'p.txt'}")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_prompts_file(written(tmp_path, "a --n b\nc\nc\nd --w 5"))
    assert [f"line{end}" in str(error.value) for end in (" 1:", " 4:", "s 2 and 3")] == [True] * 3


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"prompts_file=/none\.txt: cannot be read \(No such file"):
        read_prompts_file("/none.txt")
