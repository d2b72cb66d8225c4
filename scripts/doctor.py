"""The command `doctor`, of a checkout."""

from spritelora.commands import doctor

if __name__ == "__main__":
    doctor()
