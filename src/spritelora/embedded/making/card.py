"""The model card of the embedded base."""

import json
from collections.abc import Sequence
from pathlib import Path

from spritelora.embedded.drawn.drawn_sprite import held_out_pairs
from spritelora.embedded.drawn.ramps import COLOURS
from spritelora.embedded.drawn.subjects import SUBJECTS
from spritelora.embedded.location import write_canvases
from spritelora.embedded.real.canvases import CANVASES
from spritelora.embedded.real.lessons import SELDOM
from spritelora.embedded.real.packs import HANDS, TILES_HAND
from spritelora.embedded.real.records import Record, is_recolour_held_out
from spritelora.files import JsonObject
from spritelora.sprites.pixels.image import LATENT_PX

TEMPLATE = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags: [pixel-art, sdxl, text-to-image]
---

# tiny-sdxl

A small SDXL that draws sprites of 16 to 40 px, eight image pixels to a native one. It has SDXL's classes and structure:
two text encoders, text and size embeddings, a three-level UNet with attention on the lower two, an autoencoder with
8 px and 4 channels to a latent cell, SDXL's noise schedule. It exists so that LoRA training can be tried, tested and
measured without a GPU.

Canvases (height x width): {canvases} px. Give the size that your sprites have: the model is told by SDXL's time ids.

## What it learnt from

`python scripts/make_base.py data=FOLDER` made it {begun}, from {num_records} sprites of
{num_subjects} subjects, all in the public domain or CC0 1.0, and from sprites that the project's code draws:

- tiles of 32 px, icons and parts of characters of Dungeon Crawl Stone Soup, whose artists have signed them over to the
  public domain (the release `Nov-2015` of the repository `crawl/tiles`);
- Tiny Creatures by Clint Bellanger, Tiny Dungeon by Kenney (kenney.nl);
- Ninja Adventure by Pixel-Boy and AAA.

The repository holds weights, not the sprites. Captions are composed anew at every step, from names, kinds, colours
of the pixels, views and what is behind a sprite. Words for the packs' styles: {hands}. UNet and text encoders are
trained together for {num_steps} steps with AdamW; the weights are a moving average, kept in fp16. The autoencoder is
not trained but built (`embedded/model/tiny_vae.py`); pictures whose pixels do not lie on the grid of 8 px are blurred.

Drawn subjects: {drawn}. Their colours: {colours}.

## What training never saw

One subject in ten: {held_out}.

Subjects of kinds whose names say little of what one sees ({seldom}) are shown a quarter as often as others.

Pairs of subject and colour, drawn or real: {pairs}. One in twenty pairs of a real subject and another colour than its
own: {recolours}, and others, by `records.is_recolour_held_out`.

## Figures

`known` are subjects of training, `unseen` those held out; 128x128 are sprites of 16 px, 256x256 of 32 px. Shares have
95 % intervals. `caption_test`: of eight captions the right one has the lowest denoising loss (chance 0.125). `loss`:
epsilon loss with min-SNR 5. `words`, `views`: the share of a caption's words that a classifier of real sprites finds,
at one false alarm in twenty, in what is drawn and in real sprites of the same captions. `copies`: drawn sprites that
pass for a training sprite. `feature_distance_to_unseen`: kernel distance of the classifier's features to those of
subjects held out. `colour_asked`: the colour asked for is one of a drawn sprite's two main ones. Subjects are drawn as
often as training shows them.

```json
{figures}
```

## Licence

Apache-2.0.
"""

NUM_RECOLOURS = 20
"""Pairs that the card names of those that are never painted."""


def write_card(folder: Path, records: Sequence[Record], figures: JsonObject, goes_on: bool) -> None:
    """Write the model card, and the canvases that the base knows, into its folder.

    `goes_on`: training began from another base's weights.
    """
    subjects = dict.fromkeys(record.subject for record in records if not record.layer)
    held_out = dict.fromkeys(record.name for record in records if record.is_held_out)
    names = {record.subject: record.name for record in records if not record.layer}
    recolours = [
        f"{colour} {name}"
        for subject, name in names.items()
        for colour in COLOURS
        if is_recolour_held_out(subject, colour)
    ]
    card = TEMPLATE.format(
        canvases=", ".join(map(str, CANVASES)),
        begun="from the weights of the base before it" if goes_on else "from nothing",
        num_records=len(records),
        num_subjects=len(subjects),
        hands=", ".join(dict.fromkeys([*HANDS.values(), TILES_HAND])),
        num_steps=figures["num_steps"],
        drawn=", ".join(SUBJECTS),
        colours=", ".join(COLOURS),
        held_out=", ".join(held_out),
        seldom=", ".join(sorted(SELDOM)),
        pairs=", ".join(f"{colour} {subject}" for subject, colour in held_out_pairs()),
        recolours=", ".join(recolours[:NUM_RECOLOURS]),
        figures=json.dumps(figures, indent=2),
    )
    (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
    write_canvases(folder, [(canvas.width * LATENT_PX, canvas.height * LATENT_PX) for canvas in CANVASES])
