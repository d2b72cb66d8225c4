"""Sprites and prompts through SDXL's frozen parts, once: what the cache holds is not computed again."""

import logging
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from spritelora.data.augment import Variant, show_variant
from spritelora.data.cache import Cache, Entry, Shapes, content_key
from spritelora.data.team import Team
from spritelora.sdxl.files.base import PARTS, BaseModel, fingerprint, load_vae
from spritelora.sdxl.latents import encode_image
from spritelora.sdxl.text import TextEmbedding, TextEncoders, cut_text, load_tokenizers, token_ids
from spritelora.shown import counted
from spritelora.sprites.backgrounds.treatment import Treatment
from spritelora.sprites.folder.sprite_folder import CaptionedSprite, training_image
from spritelora.sprites.names import some_of
from spritelora.sprites.pixels.image import LATENT_PX
from spritelora.sprites.pixels.placement import sides_text

log = logging.getLogger(__name__)

ENCODING_VERSION = 1
"""Raised whenever the same input would be encoded to other numbers."""


LATENT_CHANNELS, NUM_TOKENS = 4, 77
MOST_LETTERS = 200
"""Of what a caption loses, those that are shown."""


class Picture(NamedTuple):
    """A sprite as one of its variants shows it."""

    sprite: CaptionedSprite
    variant: Variant = Variant()


@dataclass(frozen=True)
class Encoder:
    """The frozen parts of one base model behind a cache, used on one device and freed after each use.

    Each process of `team` encodes its share.
    """

    base: BaseModel
    cache: Cache
    device: torch.device
    team: Team = field(default_factory=Team)

    def latents(self, pictures: Sequence[Picture], matte: tuple[int, int, int]) -> list[Tensor]:
        """The latents of each picture, (4, H/8, W/8) fp32."""
        vae_hash = self._fingerprint("vae")

        def key(picture: Picture) -> str:
            sprite, variant = picture
            # What is shown as drawn has the key of a run without variants.
            more = {} if variant == Variant() else {"variant": asdict(variant)}
            return content_key(version=ENCODING_VERSION, vae=vae_hash, **_view(sprite), matte=matte, **more)

        def compute(missing: list[Picture]) -> Callable[[Picture], Entry]:
            vae = load_vae(self.base, self.device)
            canvases = sorted({picture.sprite.fit.canvas for picture in missing})
            sides = some_of(list(map(sides_text, canvases)), 3)
            log.info("encoding %s at %s px", counted(len(missing), "sprite"), sides)

            def encode(picture: Picture) -> Entry:
                sprite, variant = picture
                image = show_variant(training_image(sprite, matte), variant, matte, sprite.stretched)
                return self.cache.store("latents", key(picture), {"latents": encode_image(vae, image, sprite.name)})

            return encode

        def shapes(picture: Picture) -> Shapes:
            width, height = picture.sprite.fit.canvas
            return {"latents": (LATENT_CHANNELS, height // LATENT_PX, width // LATENT_PX)}

        return [e.tensors["latents"] for e in self._entries("latents", pictures, key, shapes, compute)]

    def texts(self, prompts: Sequence[str]) -> dict[str, TextEmbedding]:
        """The embedding of each prompt; prompts longer than the model reads are named in a warning."""
        hashes = {part: self._fingerprint(part) for part in PARTS if part.startswith("text")}
        hashes |= {part: self._fingerprint(part) for part in ("tokenizer", "tokenizer_2")}

        def key(prompt: str) -> str:
            return content_key(version=ENCODING_VERSION, prompt=prompt, **hashes)

        def compute(missing: list[str]) -> Callable[[str], Entry]:
            encoders = TextEncoders(self.base, self.device, torch.float32)
            log.info("encoding %s", counted(len(missing), "caption"))

            def encode(prompt: str) -> Entry:
                text = encoders.encode(prompt)
                cut = cut_text(encoders.tokenizers[0], prompt)
                tensors = {"states": text.states, "pooled": text.pooled}
                return self.cache.store("texts", key(prompt), tensors, {"cut": cut} if cut else None)

            return encode

        first, second = (self.base.config(part) for part in PARTS if part.startswith("text"))
        shapes: Shapes = {
            "states": (NUM_TOKENS, first["hidden_size"] + second["hidden_size"]),
            "pooled": (second["projection_dim"],),
        }
        distinct = list(dict.fromkeys(prompts))
        entries = dict(zip(distinct, self._entries("texts", distinct, key, lambda _: shapes, compute), strict=True))
        _warn_of_cuts({prompt: e.notes["cut"] for prompt, e in entries.items() if "cut" in e.notes})
        return {p: TextEmbedding(e.tensors["states"], e.tensors["pooled"]) for p, e in entries.items()}

    def tokens(self, prompts: Sequence[str]) -> dict[str, TextEmbedding]:
        """Each prompt as token ids, for encoders that are trained; those that are too long are named in a warning."""
        tokenizers, nothing = load_tokenizers(self.base), torch.empty(0)
        distinct = list(dict.fromkeys(prompts))
        cuts = {prompt: cut_text(tokenizers[0], prompt) for prompt in distinct}
        _warn_of_cuts({prompt: cut for prompt, cut in cuts.items() if cut})
        return {prompt: TextEmbedding(nothing, nothing, token_ids(tokenizers, prompt)) for prompt in distinct}

    def _entries(
        self,
        kind: str,
        items: Sequence,
        key: Callable[..., str],
        shapes: Callable[..., Shapes],
        compute: Callable[[list], Callable[..., Entry]],
    ) -> list[Entry]:
        """The entry of each item, of which each process has encoded a share where they were missing."""
        place = self.team.place
        entries: dict[int, Entry] = {}
        # A share of all; where machines have caches of their own, a share of what is missing on this one; the rest.
        for part, num_parts in dict.fromkeys([(place.rank, place.size), (place.local_rank, place.local_size), (0, 1)]):
            share = [i for i in range(part, len(items), num_parts) if i not in entries]
            found = self._encode_missing(kind, [items[i] for i in share], key, shapes, compute)
            entries.update(zip(share, found, strict=True))
            self.team.meet(None)
        return [entries[i] for i in range(len(items))]

    def _encode_missing(
        self,
        kind: str,
        items: Sequence,
        key: Callable[..., str],
        shapes: Callable[..., Shapes],
        compute: Callable[[list], Callable[..., Entry]],
    ) -> list[Entry]:
        """The entry of each item; `compute` is called once, with the items that are missing, where any are."""
        found = [self.cache.find(kind, key(item), shapes(item)) for item in items]
        missing = [item for item, entry in zip(items, found, strict=True) if entry is None]
        if not missing:
            return [e for e in found if e is not None]
        encode = compute(missing)
        bar = tqdm(missing, unit=kind[:-1], leave=False, disable=None if self.team.is_first else True)
        made = iter([encode(item) for item in bar])
        return [entry or next(made) for entry in found]

    def _fingerprint(self, part: str) -> str:
        return fingerprint(self.base, part, self.cache.hashes)


def _view(sprite: CaptionedSprite) -> dict[str, object]:
    """All that decides a sprite's picture but its matte. What `prepare` wrote is known by its native sprite."""
    if sprite.prepared is None:
        width, height = sprite.fit.canvas
        side = width if width == height else [width, height]
        # What nothing is done to has the key of versions that did nothing.
        treated = {"treatment": asdict(sprite.treatment)} if sprite.treatment != Treatment() else {}
        return {"image": sprite.sha256, "side_px": side, "factor": sprite.factor, **treated}
    return {"native": sprite.native_sha256, "under": sprite.prepared.matte, "fit": asdict(sprite.fit)}


def _warn_of_cuts(cut: dict[str, str]) -> None:
    for prompt, lost in list(cut.items())[:5]:
        log.warning(
            "caption over 77 tokens: '%s...' loses its end '%s'",
            prompt[:40],
            textwrap.shorten(lost, MOST_LETTERS, placeholder="..."),
        )
    if len(cut) > 5:
        log.warning("%d captions in all are over 77 tokens and lose their ends: shorten them", len(cut))
