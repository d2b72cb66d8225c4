"""The command `workspace`, of a checkout."""

from spritelora.door.command_table import workspace

if __name__ == "__main__":
    workspace()
