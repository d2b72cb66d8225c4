"""Reads one file as a command does before it does anything else: `python read_file.py palette|prompts FILE_OR_FOLDER`."""

import sys
from pathlib import Path

from spritelora.commands.generate.palette_file import read_palette
from spritelora.drawing.prompts_file import read_prompts_file
from spritelora.errors import SpriteLoraError
from spritelora.streams import lasting_streams


@lasting_streams()
def main(kind: str, place: str) -> None:
    try:
        if kind == "palette":
            print(read_palette(next(Path(place).iterdir())).shape)  # noqa: T201
        else:
            print(read_prompts_file(place))  # noqa: T201
    except SpriteLoraError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main(*sys.argv[1:])
