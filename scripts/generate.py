"""The command `generate`, of a checkout."""

from spritelora.commands import generate

if __name__ == "__main__":
    generate()
