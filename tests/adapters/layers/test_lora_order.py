"""A LoRA file's bytes are a function of what is in it."""

from pathlib import Path

import torch
from safetensors import safe_open

from spritelora.adapters.files.formats import write_file

METADATA = {f"ss_key_{number}": f"value {number} é" for number in range(40)}


def test_equal_tensors_and_metadata_are_equal_files(tmp_path: Path) -> None:
    tensors = {f"lora_unet_{n}.alpha": torch.tensor(float(n)) for n in range(3)}
    tensors |= {"b": torch.ones(3, dtype=torch.bfloat16), "a": torch.arange(6.0).reshape(2, 3)}
    files = [tmp_path / name for name in ("one", "two")]
    write_file(files[0], tensors, METADATA)
    write_file(files[1], dict(reversed(tensors.items())), dict(reversed(METADATA.items())))
    assert files[0].read_bytes() == files[1].read_bytes()
    with safe_open(files[0], framework="pt") as read:
        assert METADATA.items() <= read.metadata().items()
        assert all(read.get_tensor(name).equal(tensor) for name, tensor in tensors.items())
        assert set(read.keys()) == set(tensors)
    length = int.from_bytes(files[0].read_bytes()[:8], "little")
    assert length % 8 == 0
