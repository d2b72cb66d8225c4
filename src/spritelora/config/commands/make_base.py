"""Configuration of `scripts/make_base.py`: everything that the embedded base depends on."""

from dataclasses import dataclass

from spritelora.config.fields import key


@dataclass
class MakeBaseConfig:
    """The settings for making the embedded base."""

    output: str = key("src/spritelora/assets/tiny-sdxl", "diffusers folder to write", is_place=True)
    work: str = key(
        "outputs/make_base", "folder of the unfinished training; run again with it to go on from there", is_place=True
    )
    start: str | None = key(
        None, "folder of a base whose UNet and text encoders training starts from; unset: random weights", is_place=True
    )
    data: str | None = key(
        None,
        "folder with cc0, cc0_parts and cc0_small, real sprites to learn too; unset: drawn ones alone",
        is_place=True,
    )
    cells_a_step: int = key(8192, "with data: native pixels a step, 32 sprites of 16 px or 8 of 32 px", at_least=256)
    bf16: bool | None = key(
        None,
        "with data: the UNet's steps in bfloat16; unset: on a GPU. Processors with AMX take 0.75 of the time with it",
    )
    max_time: str | None = key(
        None,
        "with data: save and stop after this long, as 30m or 2h; the same command goes on from there",
        is_duration=True,
    )
    only_figures: bool = key(
        False, "with data: train no further; measure the average of the work folder's weights, and draw contact sheets"
    )
    seed: int = key(0, "seed of the weights, the sprites and every step", at_least=0)
    threads: int | None = key(None, "CPU threads; unset: torch's own choice", at_least=1)
    num_sprites: int = key(
        12000, "sprites drawn and encoded once; captions are written anew at every step", at_least=64
    )
    num_steps: int = key(
        4100, "steps of UNet and text encoders; on a GPU 12000 are better and take minutes", at_least=1
    )
    batch_size: int = key(24, "sprites a step", at_least=1)
    learning_rate: float = key(6e-4, "highest learning rate, after the warm-up; 1.2e-3 diverges", above=0)
    judge_steps: int = key(1200, "steps of the classifier that judges the samples", at_least=1)
    samples_per_pair: int = key(4, "judged images of each subject in each colour", at_least=1)
    num_questions: int = key(
        200, "with data: subjects of each size, known and unseen, that the caption test asks about", at_least=8
    )
    num_images: int = key(
        96, "with data: judged images of known subjects, and of unseen ones, of each size", at_least=8
    )
    sampling_steps: int = key(20, "denoising steps of those images", at_least=1, at_most=1000)
    guidance: float = key(2.0, "classifier-free guidance of those images", at_least=1)
