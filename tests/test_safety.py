"""A file from a stranger that is a pickle in truth: refused by every command that reads such a file, never executed."""

import pickle
from pathlib import Path

import pytest
import torch

from tests.documents import run_in
from tests.records import write_record

FORMS = (("evil.safetensors", True), ("evil.safetensors", False), ("evil.ckpt", True))
"""Name, and whether it is in torch's zip."""

LORA_COMMANDS = {
    "inspect": ("scripts/lora.py", "mode=inspect", "loras={file}"),
    "merge": ("scripts/lora.py", "mode=merge", "loras=[{file},{file}]", "output=out.safetensors"),
    "resize": ("scripts/lora.py", "mode=resize", "loras={file}", "rank=2", "output=out.safetensors"),
    "validate": ("scripts/validate.py", "loras={file}", "output=validation"),
    "generate": ("scripts/generate.py", "loras={file}", "prompts=pixel art, key", "output=sprites"),
    "compare": ("scripts/compare.py", "runs=[{file}]", "output=comparison", "overwrite=true"),
}
BASE_COMMANDS = {
    "base": ("train.py", "model.path={file}", "logger=csv", "output=run", "data.cache=cache"),
    "vae": ("train.py", "model.vae={file}", "logger=csv", "output=run", "data.cache=cache"),
}


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.sprung,)


def evil(file: Path, is_torch: bool) -> Path:
    """A pickle as Python writes it, or in torch's zip; it does spring when it is read."""
    sprung = file.with_name("sprung")
    if is_torch:
        torch.save({"lora_unet_x.alpha": Trap(sprung)}, file)
        with file.open("rb") as stream:
            torch.load(stream, weights_only=False)
    else:
        file.write_bytes(pickle.dumps({"lora_unet_x.alpha": Trap(sprung)}))
        pickle.loads(file.read_bytes())
    sprung.unlink()
    return file


@pytest.mark.parametrize("command", [*LORA_COMMANDS, *BASE_COMMANDS])
def test_a_pickle_is_refused_by_name(command: str, tmp_path: Path) -> None:
    words = (LORA_COMMANDS | BASE_COMMANDS)[command]
    for name, is_torch in FORMS:
        file = evil(tmp_path / name, is_torch)
        outcome = run_in(tmp_path, ["python", *(w.format(file=file) for w in words)])
        assert f"{file}: a pickle, which" in outcome.printed, outcome.printed
        assert outcome.status == 1
        assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_pickle_as_a_checkpoints_state_is_refused(name: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoint_step_2"
    state = checkpoint / "training_state"
    for folder in (tmp_path / "run", state):
        write_record(folder, "logger=csv")
    (state / "state.json").write_text('{"dict": [["global_step", 2]]}')
    evil(tmp_path / "pickled", is_torch=False).rename(state / name)
    (state / "state.safetensors").touch()
    from spritelora.errors import ResumeError
    from spritelora.training.callbacks.checkpoints import newest_checkpoint
    from spritelora.training.state_files import read_state

    with pytest.raises(ResumeError, match="training state is damaged"):
        newest_checkpoint(tmp_path / "run")
    with pytest.raises(ResumeError, match="damaged training state"):
        read_state(state)
    assert not (tmp_path / "sprung").exists()
