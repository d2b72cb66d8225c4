"""The command `compare`, of a checkout."""

from spritelora.commands import compare

if __name__ == "__main__":
    compare()
