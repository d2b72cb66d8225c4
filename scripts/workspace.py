"""Lay out the W&B workspace of a project:  python scripts/workspace.py project=NAME  or  output=FILE"""

from spritelora.cli import command
from spritelora.config.invocation import Invocation
from spritelora.config.workspace import WorkspaceConfig


@command(config_path="conf", config_name="workspace", schema=WorkspaceConfig)
def main(config: WorkspaceConfig, invocation: Invocation) -> None:
    """Save the workspace, or write it to a file."""
    from spritelora.tasks.workspace import lay_out  # after the configuration is checked: W&B is slow to import

    lay_out(config, invocation.run_dir)


if __name__ == "__main__":
    main()
