"""The command `validate`, of a checkout."""

from spritelora.commands import validate

if __name__ == "__main__":
    validate()
