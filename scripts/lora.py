"""The command `lora`, of a checkout."""

from spritelora.door.command_table import lora

if __name__ == "__main__":
    lora()
