"""Configuration of `scripts/make_base.py`: everything that the embedded base depends on."""

from dataclasses import dataclass

from omegaconf import MISSING

from spritelora.config.fields import key


@dataclass
class MakeBaseConfig:
    """The settings for making the embedded base."""

    output: str = key("src/spritelora/assets/tiny-sdxl", "diffusers folder to write", is_place=True)
    work: str = key(
        "outputs/make_base", "folder of the unfinished training; run again with it to go on from there", is_place=True
    )
    start: str | None = key(
        None,
        "folder of a base that training starts from, which may know fewer words; unset: random weights",
        is_place=True,
    )
    data: str = key(MISSING, "folder with cc0, cc0_parts and cc0_small, the real sprites to learn", is_place=True)
    cells_a_step: int = key(8192, "native pixels a step: 32 sprites of 16 px or 8 of 32 px", at_least=256)
    bf16: bool | None = key(
        None, "the UNet's steps in bfloat16; unset: on a GPU. Processors with AMX take 0.75 of the time with it"
    )
    compile: bool = key(
        False, "torch.compile of the UNet for its frequent canvases: ten minutes at first, then 0.6 of the time"
    )
    processes: int = key(1, "processes that share each step, for processors with several cores", at_least=1)
    max_time: str | None = key(
        None, "save and stop after this long, as 30m or 2h; the same command goes on from there", is_duration=True
    )
    only_figures: bool = key(
        False,
        "train no further; measure the average of the work folder's weights, draw contact sheets and write the card",
    )
    seed: int = key(0, "seed of the weights, the sprites and every step", at_least=0)
    threads: int | None = key(None, "CPU threads of each process; unset: torch's own choice", at_least=1)
    num_steps: int = key(12000, "steps of UNet and text encoders", at_least=1)
    learning_rate: float = key(6e-4, "highest learning rate, after the warm-up; 1.2e-3 diverges", above=0)
    judge_steps: int = key(1200, "steps of each of the two classifiers that judge drawn sprites", at_least=1)
    samples_per_pair: int = key(
        1, "judged images of each subject that code draws in each colour, for only_figures", at_least=1
    )
    num_questions: int = key(
        96, "subjects of each size, known and unseen, that the caption test asks about", at_least=8
    )
    num_images: int = key(96, "judged images of known subjects, and of unseen ones, of each size", at_least=8)
    sampling_steps: int = key(20, "denoising steps of those images", at_least=1, at_most=1000)
    guidance: float = key(2.0, "classifier-free guidance of those images", at_least=1)
