"""The command `lora`, of a checkout."""

from spritelora.commands import lora

if __name__ == "__main__":
    lora()
