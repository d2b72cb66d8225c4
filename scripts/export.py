"""The command `export`, of a checkout."""

from spritelora.commands import export

if __name__ == "__main__":
    export()
