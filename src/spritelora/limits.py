"""The most that an input may have, looked at before work is done on it, each with its message.

A file of under 100 MB takes no more than 2 GB and 30 s of a CPU before it is refused. Whoever needs more, as of an
image that is a sheet, says so.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """The most there may be of something. `message`: what is said of more, with `{found}`, `{most}` and other facts."""

    most: int
    message: str

    def check(self, number: int, **facts: object) -> None:
        """Raise ValueError for more. `facts`: what else the message names; `found` is the number unless given."""
        if number > self.most:
            raise self.error(**{"found": f"{number:,}", **facts})

    def error(self, **facts: object) -> ValueError:
        """The error for more."""
        return ValueError(self.message.format(**{"most": f"{self.most:,}", **facts}))


def _binary(megabytes: int) -> int:
    return megabytes * 1024 * 1024


IMAGE_BYTES = Limit(_binary(256), "{found} bytes is over the limit of {most}")
SHEET_PIXELS = Limit(
    _binary(64), "{found} px is over the limit of {most} pixels; a sprite is far smaller: cut it up or remove it"
)
SPRITE_PIXELS = Limit(
    _binary(16),
    "{found} px is over the limit of {most} pixels for one sprite; where it is a sheet, name its cells, such as "
    "sheet=32x32; else cut it up, or bring it to its native size",
)
COMPARED_PIXELS = Limit(
    _binary(4), "{found} sprite pixels, over the limit of {most} for comparing it with the others; it is left out there"
)
SIDE_PX = Limit(
    16_384, "{found} px has a side over the limit of {most} px; a sprite is far smaller: cut it up or remove it"
)
DRAWN_PX = Limit(16_384, "a side of {found} px is over the limit of {most}; take a smaller one")
FRAMES = Limit(4096, "{found} frames are over the limit of {most}; cut it up or remove it")
ANIMATION_PIXELS = Limit(_binary(64), "{found} are over the limit of {most} pixels; cut it up or remove it")
SEARCHED_PIXELS = Limit(
    4096 * 4096,
    "{found} px is over the limit of {most} pixels for a search of gaps; name the cells, such as sheet=32x32",
)
JUDGED_PIXELS = Limit(
    3072 * 3072, "{found} px is over the limit of {most} pixels for a search of cells; name them, such as sheet=32x32"
)
CELLS = Limit(65_536, "{found}, over the limit of {most}")
ASE_CHUNKS = Limit(500_000, "its {found} parts are over the limit of {most}; export it as PNG")
ASE_LAYERS = Limit(4096, "{found} layers are over the limit of {most}; flatten it, or export it as PNG")
ASE_LEVELS = Limit(64, "groups of {found} levels are over the limit of {most}; flatten it, or export it as PNG")
ASE_TAGS = Limit(1024, "{found} tags are over the limit of {most}; remove some, or export it as PNG")
ASE_SLICES = Limit(65_536, "its slices have {found} rectangles, over the limit of {most}; export it as PNG")
ASE_DRAWN_PIXELS = Limit(
    _binary(64), "its layers and groups have {found} pixels in all, over the limit of {most}; flatten it, or cut it up"
)
ASE_BLENDED_PIXELS = Limit(
    _binary(8), "its layers with blend modes have {found} pixels in all, over the limit of {most}; flatten them"
)

CAPTION_BYTES = Limit(64 * 1024, "is over {most} bytes; replace or remove it")
TABLE_BYTES = Limit(_binary(256), "is over {most} bytes; replace or remove it")
SEARCHED_TABLE_BYTES = Limit(_binary(32), "is over {most} bytes; replace or remove it")
TABLE_ROWS = Limit(
    500_000, "has {found} lines, over the limit of {most}; part the set into folders with tables of their own"
)
TYPED_ENTRIES = Limit(
    1000, "{key} has {found} entries, over the limit of {most} that can be typed; name files or folders that hold them"
)
PROMPT_BYTES = Limit(_binary(1), "is over {most} bytes; part it into several files")
PALETTE_BYTES = Limit(_binary(1), "is over {most} bytes; replace or remove it")
PALETTE_COLOURS = Limit(256, "holds {found} colours, over the {most} of a palette; reduce it")

INDEX_BYTES = Limit(_binary(32), "is over {most} bytes; replace or remove it")
SHEET_FRAMES = Limit(65_536, "{found} frames are over the limit of {most}")
SHEET_FRAME_PIXELS = Limit(_binary(64), "its frames are over the limit of {most} pixels in all")
SHEET_TAGS = Limit(1024, "{found} tags are over the limit of {most}")
TAG_PLACES = Limit(250_000, "its tags hold {found} frames in all, over the limit of {most}; export fewer tags")
TAGGED_FRAMES = Limit(4_000_000, "{found} frames times tags are over the limit of {most}; part the file into several")

HEADER_BYTES = Limit(
    _binary(16), "its header has {found} bytes, over the limit of {most}, so no program wrote it in earnest"
)
TENSORS = Limit(20_000, "its {found} tensors are over the limit of {most}")
TENSOR_NAME = Limit(512, "a name of a tensor has {found} letters, over the limit of {most}: {begin}...")
LAYER_NUMBERS = Limit(
    128 * 1024 * 1024, "its change is of {found} numbers ({shape}), over the limit of {most}, and of no layer known"
)
FORMED_NUMBERS = Limit(
    4_000_000_000, "its LoHa layers make {found} numbers in all, over the limit of {most}, and SDXL has 3.5 billion"
)
CANVASES = Limit(1000, "lists {found} canvases, over the limit of {most}; remove those that the base was not taught")
MODEL_SETTINGS_BYTES = Limit(_binary(64), "is over {most} bytes; fetch the model again")
SETTINGS_BYTES = Limit(_binary(8), "is over {most} bytes; get the adapter again")
PATTERNS = Limit(16, "alpha_pattern has {found} patterns that are no names of layers, over the limit of {most}")
PATTERN_LETTERS = Limit(4096, "a pattern of {key} has {found} letters, over the limit of {most}")
PATTERN_REPEATS = Limit(2, "alpha_pattern: '{pattern}' repeats {found} times, over the limit of {most}")

JSON_BYTES = Limit(_binary(64), "it has over {most} bytes")
JSON_LEVELS = Limit(100, "it has over {most} levels")
METRICS_BYTES = Limit(_binary(1024), "has over {most} bytes, and no run writes as many; remove it")
OPTION_BYTES = Limit(_binary(1), "has over {most} bytes, and options are short; remove it")
OPTION_VALUES = Limit(10_000, "holds over {most} values; options are short: write it anew")
OPTION_LEVELS = Limit(32, "holds over {most} levels; options are short: write it anew")
