"""The file of prompts that commands draw from: a prompt a line."""

import re
from pathlib import Path

from spritelora import limits
from spritelora.errors import ConfigError
from spritelora.sprites.captions.sidecars import read_text

OPTION = re.compile(r"(?:^|\s)--([A-Za-z][\w-]*)")
"""An option within a line, as kohya's and A1111's files have them."""
KEYS = {
    "sampler.negative_prompt": ("n", "negative_prompt"),
    "model.resolution": ("w", "h", "width", "height"),
    "sampler.steps": ("s", "steps"),
    "sampler.guidance": ("l", "cfg_scale"),
    "the seed (generate: seed, validate: sampler.seed)": ("d", "seed"),
}
"""The keys that set for all prompts what an option sets for one."""
SHOWN = 3


def read_prompts_file(name: str) -> list[str]:
    """The prompts of a file; blank lines, and lines that begin with #, are none.

    Raises ConfigError for a file that cannot be read or holds no prompt, for a prompt that is there twice, and for
    options in lines, which would be drawn as words, and for a line that is longer than a caption may be.
    """
    try:
        text = read_text(Path(name).expanduser(), limits.PROMPT_BYTES).replace("\r\n", "\n").replace("\r", "\n")
    except ValueError as error:
        raise ConfigError(f"prompts_file={name}: {error}; give a text file in UTF-8, a prompt a line") from error
    stripped = {number: line.strip() for number, line in enumerate(text.split("\n"), 1)}
    lines = {number: line for number, line in stripped.items() if line and not line.startswith("#")}
    if not lines:
        raise ConfigError(f"prompts_file={name}: holds no prompt; write one a line")
    if problems := [*_options(lines), *_doubles(lines), *_long_ones(lines)]:
        raise ConfigError("\n  ".join(f"prompts_file={name}, {problem}" for problem in problems))
    return list(lines.values())


def _options(lines: dict[int, str]) -> list[str]:
    """Messages about lines with options, the first few in full."""
    by_line = {number: found for number, line in lines.items() if (found := OPTION.findall(line))}
    problems = [
        f"line {number}: --{', --'.join(found)}: a line here is the prompt alone, without another program's options"
        for number, found in by_line.items()
    ]
    if not problems:
        return []
    used = {option for found in by_line.values() for option in found}
    keys = [key for key, options in KEYS.items() if used.intersection(options)]
    remedy = "take the options out" + (f"; for all prompts at once set {', '.join(keys)}" if keys else "")
    more = [f"and {len(problems) - SHOWN} more lines with options"] if len(problems) > SHOWN else []
    *others, last = [*problems[:SHOWN], *more]
    return [*others, f"{last}; {remedy}"]


def _doubles(lines: dict[int, str]) -> list[str]:
    first: dict[str, int] = {}
    problems: list[str] = []
    for number, line in lines.items():
        if first.setdefault(line, number) != number:
            problems.append(
                f"lines {first[line]} and {number} are the same: '{line}'; leave one out, and for several images of "
                f"each prompt set count (generate) or images_per_prompt (validate)"
            )
    return problems[:SHOWN]


def _long_ones(lines: dict[int, str]) -> list[str]:
    long_ones = [number for number, line in lines.items() if len(line.encode()) > limits.CAPTION_BYTES.most]
    return [f"line {number}: {limits.CAPTION_BYTES.error()}" for number in long_ones[:SHOWN]]
