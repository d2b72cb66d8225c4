"""The command `validate`, of a checkout."""

from spritelora.door.command_table import validate

if __name__ == "__main__":
    validate()
