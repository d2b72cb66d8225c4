"""SDXL at full size from one file and from a folder: the same numbers, and memory that holds the model once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LOAD = """
import json, sys, threading, time
from pathlib import Path
import torch
from spritelora.sdxl.files.base import find_base, load_unet
from spritelora.sdxl.sample import call_unet

def anonymous_gb():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in status.splitlines() if line.startswith("RssAnon"))

peak_gb, before_gb = 0.0, anonymous_gb()
def watch():
    global peak_gb
    while True:
        peak_gb = max(peak_gb, anonymous_gb())
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
unet = load_unet(find_base(sys.argv[1]), torch.bfloat16)
loaded_gb = max(peak_gb, anonymous_gb()) - before_gb
source = torch.Generator().manual_seed(0)
noisy, text, pooled = (torch.randn(s, generator=source).bfloat16() for s in ((1, 4, 16, 16), (1, 77, 2048), (1, 1280)))
conditions = {"text_embeds": pooled, "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]])}
with torch.no_grad():
    torch.save(call_unet(unet, noisy, torch.tensor([500]), text, conditions), sys.argv[2])
print(json.dumps({"loaded_gb": loaded_gb}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc")
def test_both_forms_load_offline_within_memory_and_agree(tmp_path: Path) -> None:
    """Needs 14 GB of disk and 8 GB of memory."""
    import torch

    subprocess.run([sys.executable, "-m", "tests.checkpoints", str(tmp_path)], cwd=ROOT, check=True)
    file = tmp_path / "single.safetensors"
    file_gb = file.stat().st_size / 1e9
    assert 6.9 < file_gb < 7
    outputs = []
    for place in (file, tmp_path / "diffusers"):
        result = tmp_path / f"{place.stem}.pt"
        told = subprocess.run(
            [sys.executable, "-c", LOAD, str(place), str(result)], cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert json.loads(told.stdout.splitlines()[-1])["loaded_gb"] < 1.3 * file_gb
        outputs.append(torch.load(result))
    assert outputs[0].isfinite().all()
    assert outputs[0].float().std() > 0.01
    assert torch.equal(*outputs)
