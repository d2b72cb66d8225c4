"""The command `compare`, of a checkout."""

from spritelora.door.command_table import compare

if __name__ == "__main__":
    compare()
