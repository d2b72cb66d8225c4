"""The command `caption`, of a checkout."""

from spritelora.commands import caption

if __name__ == "__main__":
    caption()
