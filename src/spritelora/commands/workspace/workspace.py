"""The W&B workspace of a project: what tells good runs from bad ones, section by section."""

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spritelora.config.commands.workspace import WorkspaceConfig
from spritelora.errors import ConfigError, TrainingError, first_line
from spritelora.files import check_free, write_whole
from spritelora.training.logs.wandb_keys import (
    ANSWERS,
    METRICS_TABLE,
    PICTURES,
    SAMPLE_TABLE,
    SAMPLES,
    STEP,
    STRENGTH,
    STRIPS,
    curve,
)
from spritelora.training.logs.wandb_run import has_wandb_key

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

log = logging.getLogger(__name__)

FILE = "workspace.json"
LOSS, BANDS = "validation_loss", "validation_loss_.+"
SWEPT = ("lora/rank", "optim/lr", "trainer/max_steps")
ON_LOG_SCALE = ("optim/lr",)
TOLD_BY_TRAINING = ("best_validation_loss", "last_validation_loss", "training_time_s", "max_peak_gb")
TOLD_BY_VALIDATION = ("colour_distance", "palette_distance", "palette_coverage")
CURVES = ("colour_distance", "palette_distance", "snap_residual", "num_colours", "copy_distance")


def lay_out(config: WorkspaceConfig, run_dir: Path) -> None:
    """Save the workspace and say where it is; write it to a file where that is asked for, or there is no API key."""
    if find_spec("wandb_workspaces") is None:
        raise ConfigError("this command needs wandb-workspaces: pip install 'spritelora[workspace]'")
    if config.output is not None or not has_wandb_key():
        file = Path(config.output) if config.output is not None else run_dir / FILE
        check_free([file], config.overwrite)
        _write(file, serialised(build_workspace(config.project, config.entity or "", config.name)))
        log.info("workspace: %s", file)
        if config.output is None:
            log.info("no API key is set, so nothing was sent; after `wandb login` this command saves it to W&B")
    else:
        log.info("workspace: %s", _save(config))


def build_workspace(project: str, entity: str, name: str) -> "Workspace":
    """The workspace; building it needs no network."""
    from wandb_workspaces import workspaces as ws

    sections = [_losses(), _search(), _samples(), _strengths(), _validations()]
    runs = ws.RunsetSettings(pinned_columns=[f"config:{k}" for k in SWEPT] + [f"summary:{TOLD_BY_TRAINING[0]}"])
    return ws.Workspace(entity=entity, project=project, name=name, sections=sections, runset_settings=runs)


def serialised(workspace: "Workspace") -> str:
    """The workspace as W&B stores it, JSON."""
    return json.dumps(workspace._to_model().model_dump(by_alias=True, exclude_none=True), indent=1) + "\n"


def _losses() -> "Section":
    import wandb_workspaces.reports.v2 as wr

    plots = [
        wr.LinePlot(title="Validation loss", x=STEP, y=[LOSS]),
        wr.LinePlot(title="Validation loss by timestep band", x=STEP, metric_regex=BANDS),
        wr.LinePlot(title="Training loss", x=STEP, y=["loss"], smoothing_type="exponential", smoothing_factor=0.9),
        wr.LinePlot(title="Learning rate", x=STEP, y=["lr"]),
        wr.LinePlot(title="Images per second", x=STEP, y=["images_per_s"]),
        wr.LinePlot(title="Peak memory, GB", x=STEP, y=["peak_gb"]),
    ]
    return _section("Training", plots)


def _search() -> "Section":
    import wandb_workspaces.reports.v2 as wr

    def parallel(title: str, *told: str) -> Any:
        swept = [wr.ParallelCoordinatesPlotColumn(wr.Config(k), log=k in ON_LOG_SCALE or None) for k in SWEPT]
        found = [wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(m)) for m in told]
        return wr.ParallelCoordinatesPlot(title=title, columns=[*swept, *found], layout=wr.Layout(w=24, h=10))

    first = TOLD_BY_TRAINING[0]
    return _section(
        "What mattered",
        [
            parallel("Rank, learning rate and steps against validation loss, time and memory", *TOLD_BY_TRAINING),
            parallel("Validated runs: against the palette", first, *TOLD_BY_VALIDATION),
            wr.ParameterImportancePlot(with_respect_to=first),
            wr.RunComparer(diff_only="split"),
        ],
        columns=1,
    )


def _samples() -> "Section":
    import wandb_workspaces.reports.v2 as wr

    return _section(
        "Samples",
        [
            wr.MediaBrowser(title="Samples by step", media_keys=[SAMPLES], grid_x_axis="step", grid_y_axis="run"),
            wr.WeavePanelSummaryTable(table_name=SAMPLE_TABLE),
        ],
        columns=1,
    )


def _strengths() -> "Section":
    import wandb_workspaces.reports.v2 as wr

    means = [curve(name) for name in CURVES]
    return _section("By strength (validate)", [wr.LinePlot(title=m, x=STRENGTH, y=[m]) for m in means])


def _validations() -> "Section":
    import wandb_workspaces.reports.v2 as wr

    tables = [wr.WeavePanelSummaryTable(table_name=name) for name in (ANSWERS, METRICS_TABLE, PICTURES)]
    media = wr.MediaBrowser(title="Base, LoRA, snapped, nearest", media_keys=[STRIPS], gallery_axis="run")
    return _section("Validations", [*tables, media], columns=1)


def _section(name: str, panels: list[Any], columns: int = 3) -> "Section":
    from wandb_workspaces import workspaces as ws

    rows = -(-len(panels) // columns)
    layout = ws.SectionLayoutSettings(columns=columns, rows=rows)
    return ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def _write(file: Path, content: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    except OSError as error:
        raise TrainingError(f"{error.filename or file}: {error.strerror}; name another file: output=") from error


def _save(config: WorkspaceConfig) -> str:
    """Save to W&B. Returns the address."""
    import wandb

    try:
        entity = config.entity or wandb.Api().default_entity or ""
        return build_workspace(config.project, entity, config.name).save().url
    except Exception as error:  # W&B raises errors of its own, of HTTP libraries and of pydantic
        raise TrainingError(
            f"W&B did not take the workspace of {config.project} ({first_line(error)}); check entity= and the network, "
            f"or write it to a file: output=workspace.json"
        ) from error
