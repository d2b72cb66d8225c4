"""The model card of the embedded base."""

from pathlib import Path

from spritelora.config.commands.make_base import MakeBaseConfig
from spritelora.embedded.drawn.drawn_sprite import BACKGROUNDS, held_out_pairs
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.render import Style
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.location import write_canvases
from spritelora.embedded.making.figures import Figures, Sampling, to_json
from spritelora.embedded.model.tiny import RESOLUTION_PX

TEMPLATE = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags: [pixel-art, sdxl, text-to-image]
---

# tiny-sdxl

A small SDXL that draws 16 x 16 sprites, shown at 128 x 128 px. It has SDXL's classes and structure: two text encoders,
text and size embeddings, a three-level UNet with attention on the lower two, an autoencoder with 8 px and 4 channels to
a latent cell, SDXL's noise schedule. It exists so that LoRA training can be tried, tested and measured without a GPU.

```python
from diffusers import StableDiffusionXLPipeline

pipeline = StableDiffusionXLPipeline.from_pretrained("tiny-sdxl")
options = dict(width=128, height=128, num_inference_steps=20, guidance_scale={guidance})
image = pipeline("pixel art, red potion", **options).images[0]
```

## How it was made

`python scripts/make_base.py` makes it from nothing: no picture, no text and no weights of anybody else's. The project's
code draws {num_sprites} sprites and writes their captions anew at every step. UNet and text encoders are trained
together for {num_steps} steps of {batch_size} sprites in fp32, with seed {seed}; the weights are a moving average, kept
in fp16. The autoencoder is not trained but built: `embedded/model/tiny_vae.py` wires it to carry flat cells of 8 x 8 px
exactly. Pictures whose pixels do not lie on that grid are blurred.

## What it draws

Subjects: {subjects}.

Colours: {colours}.

Styles: {styles}; without a word, mostly shaded. Backgrounds: {backgrounds}; without a word, mostly white. Sizes: small,
large. Sides: facing left, facing right.

Captions such as `pixel art, red potion`, `pixel art of a small blue sword, dithered, facing left, black background`.

Never shown in training: {held_out}.

## Figures

{num_images} images: {samples_per_pair} seeds of `pixel art, <colour> <subject>` for every pair, {sampling_steps} steps,
guidance {guidance}. A classifier trained on drawn sprites judges them. `judge_*` is its accuracy on drawn sprites it
has not seen, `held_out_*` the share right among the pairs never shown, `cell_spread` the median standard deviation
inside a sprite pixel in code values of 255, `vae_*_db` the autoencoder's peak signal to noise on unseen sprites and on
the demo set.

```json
{figures}
```

## Licence

Apache-2.0.
"""


def write_card(folder: Path, figures: Figures, sampling: Sampling, config: MakeBaseConfig) -> None:
    """Write the model card, and the canvas that the base knows, into its folder."""
    card = TEMPLATE.format(
        num_sprites=config.num_sprites,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        seed=config.seed,
        subjects=", ".join(SUBJECTS),
        colours=", ".join(COLOURS),
        styles=", ".join(style.value for style in Style),
        backgrounds=", ".join(BACKGROUNDS),
        held_out=", ".join(f"{colour} {subject}" for subject, colour in held_out_pairs()),
        num_images=figures.num_images,
        samples_per_pair=sampling.samples_per_pair,
        sampling_steps=sampling.num_steps,
        guidance=sampling.guidance,
        figures=to_json(figures),
    )
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    write_canvases(folder, [(RESOLUTION_PX, RESOLUTION_PX)])
