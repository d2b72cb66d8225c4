"""The command `train`, of a checkout."""

from spritelora.door.command_table import train

if __name__ == "__main__":
    train()
