"""The command `workspace`, of a checkout."""

from spritelora.commands import workspace

if __name__ == "__main__":
    workspace()
