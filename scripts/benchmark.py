"""The command `benchmark`, of a checkout."""

from spritelora.door.command_table import benchmark

if __name__ == "__main__":
    benchmark()
