"""The words of file and folder names, and what those mean that name no subject: views, actions, kinds of file."""

import re

WORD_BREAK = re.compile(r"(?<=[a-z0-9ß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|[\W_]+")
END_NUMBER = re.compile(r"\d+(x\d*)?$|^x\d+$|^v\d+$", re.IGNORECASE)
NUMBER = re.compile(r"\d+|\d+x\d*|x\d+|v\d+|\d+px", re.IGNORECASE)
FRAME_OR_CELL = re.compile(r"f\d+|fr\d+|r\d+c\d+", re.IGNORECASE)

FILE_WORDS = frozenset(
    {
        "sprite", "sprites", "spritesheet", "spritesheets", "spritestrip", "sheet", "sheets", "tile", "tiles", "image",
        "images", "img", "picture", "pictures", "pic", "texture", "textures", "asset", "assets", "graphics", "gfx",
        "png", "gif", "webp", "bmp", "jpg", "jpeg", "aseprite", "ase", "anim", "anims", "animation", "animations",
        "animated", "strip", "photo", "preview", "previews", "thumbnail",
        "screenshot", "screenshots", "untitled", "unnamed", "pixil", "download", "file", "export",
        "exported", "output",
    }
)  # fmt: skip
"""Words for what a file is, wherever they stand in its name."""

SHEET_WORDS = frozenset({"sheet", "sheets", "spritesheet", "spritesheets", "strip", "spritestrip"})
"""Words of a file's name by which it is a sheet, whether of one subject or of many."""

COLLECTIONS = frozenset(
    {
        "tileset", "tilesets", "tilemap", "tilemaps", "tilesheet", "tilesheets", "atlas", "spriteset", "collection",
    }
)  # fmt: skip
"""Words for many things in one file: its other words are the name of the collection, not of a sprite."""

PICTURE_WORDS = frozenset(
    {
        "preview", "previews", "sample", "samples", "thumbnail", "thumbnails", "thumb", "screenshot", "screenshots",
        "showcase", "mockup", "mockups", "cover", "banner", "title", "promo", "overview", "demo", "example",
    }
)  # fmt: skip
"""Words of a file's name by which it may be a picture of the pack."""

CATEGORIES = frozenset(
    {
        "character", "characters", "chars", "actor", "actors", "monster", "monsters", "enemy", "enemies", "creature",
        "creatures", "npc", "npcs", "item", "items", "object", "objects", "prop", "props", "thing", "things",
        "people", "weapons", "icons", "ui", "gui", "hud", "fx", "vfx", "effect", "effects", "misc", "other", "others",
        "frame", "frames", "single", "singles", "separate", "individual", "parts", "default", "src", "source", "art",
        "pixelart", "data", "resources", "res", "input", "dataset",
    }
)  # fmt: skip
"""Words for a kind of thing, which alone name none of them."""

LAST_WORDS = frozenset({"packed", "transparent", "final", "copy", "cycle", "loop", "new", "old", "alpha", "outline"})
"""Words that say nothing of the subject where they end a name."""

ACTIONS = {
    "idle": "idle", "idling": "idle", "walk": "walking", "walking": "walking", "run": "running", "running": "running",
    "jump": "jumping", "jumping": "jumping", "attack": "attacking", "attacking": "attacking", "atk": "attacking",
    "hurt": "hurt", "die": "dying", "dying": "dying", "crouch": "crouching", "crouching": "crouching",
    "attacked": "hit", "swimming": "swimming", "flying": "flying", "falling": "falling", "climbing": "climbing",
    "sleeping": "sleeping", "sitting": "sitting", "casting": "casting", "shooting": "shooting",
}  # fmt: skip
"""Words at the end of a name that tell an action, and how a caption says it."""

LIKELY_ACTIONS = {
    "hit": "hit", "damage": "hit", "dead": "dead", "death": "dying", "fall": "falling", "fly": "flying",
    "block": "blocking", "cast": "casting", "spell": "casting a spell", "shoot": "shooting", "slash": "slashing",
    "thrust": "thrusting", "swim": "swimming", "climb": "climbing", "roll": "rolling", "dash": "dashing",
    "slide": "sliding", "sit": "sitting", "sleep": "sleeping", "stand": "standing", "move": "moving",
    "push": "pushing", "pull": "pulling", "land": "landing",
}  # fmt: skip
"""Words that tell an action in an animation, and elsewhere may be the subject: an ice block, a fruit fly."""

VIEWS = {
    "front": "front view", "back": "back view", "side": "side view", "portrait": "portrait", "faceset": "face",
    "avatar": "portrait", "icon": "icon", "inhand": "in hand",
}  # fmt: skip
"""Words at the end of a name that tell a view, and how a caption says it."""

LIKELY_VIEWS = {"face": "face", "head": "head"}
"""Words that tell a view beside other pictures of the subject, and elsewhere may be a part of it: a clock face."""

DIRECTIONS = frozenset({"left", "right", "up", "down", "north", "south", "east", "west"})
"""Words at the end of a name that tell a direction; a caption says them after the action: walking left."""

SHORT_DIRECTIONS = {
    "n": "north", "s": "south", "e": "east", "w": "west", "ne": "northeast", "nw": "northwest", "se": "southeast",
    "sw": "southwest", "u": "up", "d": "down", "l": "left", "r": "right",
}  # fmt: skip
"""Letters that tell a direction after an action; elsewhere they are letters."""

PLACES = frozenset(
    {"top", "bottom", "mid", "middle", "center", "centre", "edge", "corner", "outer", "inner", "end", "upper", "lower"}
)
"""Words with which a direction tells a part of the subject: the top left of a wall."""

GENDERS = {"f": "female", "m": "male"}
"""Letters that tell two subjects apart where a set has both."""


def split_words(name: str) -> list[str]:
    """The words of one file or folder name, in lower case, numbers among them.

    snake_case, kebab-case and camelCase are taken apart.
    """
    return [word.lower() for word in WORD_BREAK.split(name) if word]


def words_of_name(name: str) -> str:
    """The words of one file or folder name: `FireMage_02` is `fire mage`.

    Numbers, sizes and versions at the end (`02`, `32x32`, `@2x`, `v3`) are dropped, so the frames of an animation get
    one name. Empty where nothing else is left.
    """
    words = split_words(name)
    while words and (rest := END_NUMBER.sub("", words[-1])) != words[-1]:
        words[-1:] = [rest] if rest else []
    return " ".join(words)
