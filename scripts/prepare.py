"""The command `prepare`, of a checkout."""

from spritelora.commands import prepare

if __name__ == "__main__":
    prepare()
