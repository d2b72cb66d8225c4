"""Measure speed and memory:  python scripts/benchmark.py model=tiny batch_size=4  or  mode=sample  or  mode=command"""

from spritelora.cli import command
from spritelora.config.benchmark import BenchmarkConfig
from spritelora.config.invocation import Invocation


@command(config_path="conf", config_name="benchmark", schema=BenchmarkConfig)
def main(config: BenchmarkConfig, _invocation: Invocation) -> None:
    """Measure, and print one JSON object last."""
    from spritelora.tasks.benchmark import benchmark  # after the configuration is checked: torch is slow to import

    benchmark(config)


if __name__ == "__main__":
    main()
