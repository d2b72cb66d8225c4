"""Numbers in a LoRA file that are none, which a training that broke down leaves."""

from collections.abc import Iterator

from spritelora.adapters.files.changes import parts_of
from spritelora.adapters.files.lora_file import LoraFile
from spritelora.errors import WeightsError


def bad_numbers(lora: LoraFile) -> str | None:
    """A message that names the layers with nan or inf; None where all numbers are finite."""
    found = list(_bad_layers(lora))
    if not found:
        return None
    shown = "; ".join(found[:2]) + ("; ..." if len(found) > 2 else "")
    return (
        f"{len(found)} of {len(lora.everything)} layers hold nan or inf, and no program can draw with it ({shown}): "
        f"the training broke down; take an earlier checkpoint, or train again with a lower optim.lr"
    )


def check_numbers(lora: LoraFile) -> None:
    """Raise WeightsError for nan and inf."""
    if (told := bad_numbers(lora)) is not None:
        raise WeightsError(f"{lora.path}: {told}")


def _bad_layers(lora: LoraFile) -> Iterator[str]:
    """Each layer that is not finite, with its worst tensor."""
    for name, change in lora.everything.items():
        for end, tensor in parts_of(change).items():
            numbers = tensor.float()  # some 8-bit formats know no isfinite
            if num_bad := int((~numbers.isfinite()).sum()):
                kind = "nan" if numbers.isnan().any() else "inf"
                yield f"{kind} in {lora.raw_names[name]}, {end}: {num_bad} of {numbers.numel()} numbers"
                break
