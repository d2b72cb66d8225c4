"""The command `doctor`, of a checkout."""

from spritelora.door.command_table import doctor

if __name__ == "__main__":
    doctor()
