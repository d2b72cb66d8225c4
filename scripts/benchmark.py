"""The command `benchmark`, of a checkout."""

from spritelora.commands import benchmark

if __name__ == "__main__":
    benchmark()
