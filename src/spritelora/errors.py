"""Every error a user can cause. The message says what was found, where, and what to do."""

from spritelora.shown import paragraph


class SpriteLoraError(Exception):
    """Base of all errors that end a command with one `error: ...` line and no traceback.

    Its text is fit for a terminal, whatever stranger's words it quotes.
    """

    exit_status = 1
    job_status = "failed"  # of the job of a sweep that it ends

    def __str__(self) -> str:
        return paragraph(super().__str__())


class ConfigError(SpriteLoraError):
    """The command line or a configuration file is wrong."""

    exit_status = 2


class DatasetError(SpriteLoraError):
    """A data set, an image or a caption cannot be used."""


class CacheError(SpriteLoraError):
    """A cache entry cannot be written or read."""


class WeightsError(SpriteLoraError):
    """A base model or a LoRA file is not what it should be."""


class TrainingError(SpriteLoraError):
    """Training cannot go on."""


class LostConnection(TrainingError):
    """Another process of the run has gone."""


class Pruned(SpriteLoraError):
    """A search ended the run before its last step, for its validation loss."""

    job_status = "pruned"


class TimeUp(SpriteLoraError):
    """A job of a sweep has saved and stopped at its time limit."""

    exit_status = 124
    job_status = "stopped"


class ResumeError(SpriteLoraError):
    """A run or a checkpoint cannot be continued."""


def first_line(error: BaseException) -> str:
    """The first line of a library's error, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
