"""`spritelora COMMAND key=value ...`, also typed `python -m spritelora COMMAND key=value ...`."""

import difflib
import sys

from spritelora import __version__
from spritelora.door.command_table import COMMANDS
from spritelora.errors import ConfigError
from spritelora.program import PROGRAM
from spritelora.streams import complain, lasting_streams, say


@lasting_streams()
def main() -> None:
    """Start the command that is named first; without one, list all."""
    name, *settings = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        say(list_commands())
    elif name == "--version":
        say(f"{PROGRAM} {__version__}")
    elif name in COMMANDS:
        sys.argv[1:] = settings
        COMMANDS[name]()
    else:
        complain(f"error: {explain_unknown(name)}")
        sys.exit(ConfigError.exit_status)


def list_commands() -> str:
    """Every command with what it does."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    head = [f"{PROGRAM} COMMAND key=value ...", "", "Commands:"]
    return "\n".join([*head, *rows, "", f"{PROGRAM} COMMAND --help lists the keys of a command, with their values."])


def explain_unknown(word: str) -> str:
    """What to type in place of a word that is no command."""
    if "=" in word:
        return f"'{word}' is a setting, and the name of a command comes before it: {PROGRAM} train {word}"
    close = difflib.get_close_matches(word.removesuffix(".py").rpartition("/")[2], list(COMMANDS), 1)
    hint = f"did you mean '{PROGRAM} {close[0]}'? " if close else ""
    return f"there is no command '{word}': {hint}(commands: {', '.join(COMMANDS)})"


if __name__ == "__main__":
    main()
