"""A further process of a run: the first starts it as `python -m` this module, with the settings on standard input."""

import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from spritelora.config.invocation import Invocation
from spritelora.config.strict import load
from spritelora.config.train.schema import TrainConfig
from spritelora.errors import SpriteLoraError
from spritelora.process import prepare_libraries
from spritelora.streams import complain, lasting_streams


@lasting_streams()
def main() -> None:
    """Take part in a run, silently; the end of standard input is the end of the first process."""
    told = _read_line(sys.stdin.fileno())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    logging.disable()
    raw = cast(DictConfig, OmegaConf.merge(OmegaConf.structured(TrainConfig), told["settings"]))
    prepare_libraries()
    from spritelora.commands.train.train import train

    try:
        train(load(raw, TrainConfig), Invocation(Path(told["run_dir"]), tuple(told["overrides"])))
    except SpriteLoraError as error:
        complain(f"error: process {os.environ['RANK']}: {error}")
        sys.exit(error.exit_status)


def _read_line(handle: int) -> Any:
    """The JSON value on the first line, read without a buffer, which a thread could not leave at the end."""
    content = b""
    while not content.endswith(b"\n"):
        if not (part := os.read(handle, 65536)):
            sys.exit(1)
        content += part
    return json.loads(content)


def _end_with_the_first() -> None:
    os.read(sys.stdin.fileno(), 1)
    if os.environ["RANK"] == "1":
        complain("error: the first process of the run has ended; resume= goes on")
    os._exit(1)


if __name__ == "__main__":
    main()
