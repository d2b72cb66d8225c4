"""The command `generate`, of a checkout."""

from spritelora.door.command_table import generate

if __name__ == "__main__":
    generate()
