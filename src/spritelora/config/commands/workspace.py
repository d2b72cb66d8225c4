"""Configuration of `scripts/workspace.py`: the W&B workspace of a project."""

from dataclasses import dataclass

from spritelora.config.fields import key


@dataclass
class WorkspaceConfig:
    """Which project is laid out, and where to."""

    project: str = key("spritelora", "W&B project", text=True)
    entity: str | None = key(None, "W&B user or team; unset: the default of the API key", text=True)
    name: str = key("spritelora", "name of the workspace", text=True)
    output: str | None = key(
        None,
        "JSON file to write instead of saving to W&B; unset and no API key: in this command's folder",
        is_place=True,
    )
    overwrite: bool = key(False, "replace that file")
