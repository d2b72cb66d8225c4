"""The command `caption`, of a checkout."""

from spritelora.door.command_table import caption

if __name__ == "__main__":
    caption()
