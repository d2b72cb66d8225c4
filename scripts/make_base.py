"""The command `make_base`, of a checkout."""

from spritelora.door.command_table import make_base

if __name__ == "__main__":
    make_base()
