"""Train one LoRA:  python train.py lora=rank64 optim=adamw8bit"""

from spritelora.cli import command
from spritelora.config.door import check_training
from spritelora.config.invocation import Invocation
from spritelora.config.resume import replay_overrides
from spritelora.config.schema import TrainConfig


@command(config_path="conf", config_name="train", schema=TrainConfig, rewrite=replay_overrides, check=check_training)
def main(config: TrainConfig, invocation: Invocation) -> float:
    """Return the value a sweep minimises."""
    from spritelora.tasks.train import train  # after the configuration is known to be right: torch is slow to import

    return train(config, invocation)


if __name__ == "__main__":
    main()
