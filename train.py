"""The command `train`, of a checkout."""

from spritelora.commands import train

if __name__ == "__main__":
    train()
