"""The command `export`, of a checkout."""

from spritelora.door.command_table import export

if __name__ == "__main__":
    export()
