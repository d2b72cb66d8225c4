"""Names of what runs log to W&B, which its workspace shows."""

STEP, STRENGTH = "trainer/global_step", "strength"
SAMPLES, SAMPLE_TABLE = "samples", "samples_by_step"
ANSWERS, METRICS_TABLE, PICTURES, STRIPS = "answers", "metrics", "pictures", "base_lora_snapped_nearest"
BY_STRENGTH = "by_strength/"


def curve(metric: str, end: str = "mean") -> str:
    """A metric of a validation by strength. `end`: mean, or low and high of its interval."""
    return f"{BY_STRENGTH}{metric}/{end}"
