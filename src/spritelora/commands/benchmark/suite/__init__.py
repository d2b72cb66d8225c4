"""Everything that is to be known of a device, measured within a few minutes: `benchmark.py mode=suite`."""
