"""The command `prepare`, of a checkout."""

from spritelora.door.command_table import prepare

if __name__ == "__main__":
    prepare()
