"""A prepared set as its manifest describes it: which images are whose, and the native sprite that is in each."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

import numpy as np

from spritelora.errors import DatasetError
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.manifest import MANIFEST, PreparedSprite, read_manifest
from spritelora.sprites.folder.prepared_names import KOHYA_FOLDER
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels, apply_matte, parse_colour, read_sprite
from spritelora.sprites.pixels.placement import draw_on_canvas, take_from_canvas

Colour = tuple[int, int, int]

MAX_NAMED = 5
REMEDY = f"prepare the set again, or remove its {MANIFEST} to have all its images read as they are"


class Sizing(Enum):
    """The enlargement of a set: by one factor, each sprite by its own, or each axis of each sprite by its own."""

    one = "one factor"
    each = "each its own"
    stretched = "each axis its own"


@dataclass(frozen=True)
class Prepared:
    """An image that prepare wrote: its line of the manifest, the folder of that, and how the set was enlarged."""

    record: PreparedSprite
    folder: Path
    sizing: Sizing

    @property
    def matte(self) -> Colour:
        """The colour that lies under the sprite."""
        return parse_colour(self.record.matte)


@dataclass(frozen=True)
class NativeSprite:
    """A sprite at its native size: RGBA (H, W, 4), and its alpha (H, W) as a mask should have it.

    `matte`: what half-transparent pixels are mixed with already; the pixels are opaque there. None: with nothing.
    """

    pixels: Pixels
    alpha: Pixels
    matte: Colour | None = None

    def on_matte(self, matte: Colour) -> Pixels:
        """The sprite over an opaque colour, (H, W, 3). On its own matte it is as it was prepared, to the bit.

        Moved to another one, half-transparent pixels are what mixing anew would give to within one level.
        """
        if self.matte is None:
            return apply_matte(self.pixels, matte)
        own, clear = np.array(self.matte, dtype=np.int64), 255 - self.alpha[..., None].astype(np.int64)
        mixed = np.where(clear == 255, own, self.pixels[..., :3])
        moved = mixed + ((np.array(matte) - own) * clear + 127) // 255
        return moved.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class PreparedFolder:
    """The manifests of a folder: their entries by image, and the entries whose images are gone."""

    images: Mapping[str, Prepared]
    gone: Set[str]
    findings: Sequence[Finding]


def find_prepared(folder: Path, files: Iterable[Path], images: set[str]) -> PreparedFolder:
    """The images of a folder that a manifest in it describes, and where manifests and images do not match.

    `files`: of the folder. `images`: paths of its images below it. Where the folder is one of kohya's (`10_knight`),
    the manifest beside it counts. Raises DatasetError for a manifest that is not one of ours.
    """
    manifests = sorted((f for f in files if f.name == MANIFEST), key=lambda file: len(file.parts))
    beside = folder.resolve().parent / MANIFEST
    is_part = KOHYA_FOLDER.fullmatch(folder.resolve().name) and not (folder / MANIFEST).is_file()
    if is_part and beside.is_file():
        manifests.insert(0, beside)
    described: dict[str, Prepared] = {}
    for file in manifests:
        records = _by_image(folder, file)
        sizing = _sizing(records.values())
        described |= {name: Prepared(record, file.parent, sizing) for name, record in records.items()}
    places = [file.parent for file in manifests]
    unlisted = [n for n in sorted(images - described.keys()) if any(_is_below(folder / n, place) for place in places)]
    gone = described.keys() - images
    findings: list[Finding] = []
    if gone:
        findings.append(_warning(f"lines of {MANIFEST} whose image is gone: {_some(sorted(gone))}"))
    if unlisted:
        findings.append(_warning(f"images without a line in {MANIFEST}, read as originals: {_some(unlisted)}"))
    return PreparedFolder({n: p for n, p in described.items() if n in images}, gone, findings)


def check_bytes(file: Path, prepared: Prepared, sha256: str) -> None:
    """Raise DatasetError where an image, by the hash of its bytes, is not the one that was prepared."""
    if sha256 != prepared.record.sha256:
        raise DatasetError(f"{printable(file)}: changed since prepare wrote it, by its SHA-256 in {MANIFEST}; {REMEDY}")


def restore(file: Path, prepared: Prepared) -> NativeSprite:
    """The native sprite of a prepared image and its mask, to the bit.

    Raises DatasetError where image or mask are not as the manifest says.
    """
    record, matte = prepared.record, np.array([*prepared.matte, 255], dtype=np.uint8)
    image, alpha = read_sprite(file), _read_mask(file, prepared)
    for what, pixels in (("it", image), ("its mask", alpha)):
        size = pixels.shape[1], pixels.shape[0]
        if size != record.canvas:
            raise DatasetError(_unlike(file, f"{what} is {_by(size)} px, not {_by(record.canvas)}"))
    native, covered = (take_from_canvas(p, record.fit, record.native_size) for p in (image, alpha))
    is_enlarged = np.array_equal(draw_on_canvas(native, record.fit, matte.tolist()), image)
    if not is_enlarged or not np.array_equal(draw_on_canvas(covered, record.fit, (0,)), alpha):
        raise DatasetError(_unlike(file, f"it is no sprite of {_by(record.native_size)} pixels on {record.matte}"))
    if (native[covered[..., 0] == 0] != matte).any():
        raise DatasetError(_unlike(file, f"its mask {record.mask} is not its own"))
    return NativeSprite(np.where(covered > 0, native, np.uint8(0)), covered[..., 0], prepared.matte)


def _by_image(folder: Path, manifest: Path) -> dict[str, PreparedSprite]:
    """The lines of a manifest by the paths of their images below `folder`; of one beside it, those of its images."""
    records = read_manifest(manifest)
    if manifest.is_relative_to(folder):
        within = PurePosixPath(manifest.parent.relative_to(folder).as_posix())
        return {(within / r.file).as_posix(): r for r in records}
    name = f"{folder.resolve().name}/"
    return {r.file.removeprefix(name): r for r in records if r.file.startswith(name)}


def _sizing(records: Iterable[PreparedSprite]) -> Sizing:
    factors = {record.factor for record in records}
    if any(isinstance(factor, tuple) for factor in factors):
        return Sizing.stretched
    return Sizing.each if len(factors) > 1 else Sizing.one


def _read_mask(file: Path, prepared: Prepared) -> Pixels:
    """The alpha of an image on its canvas, (H, W, 1)."""
    record = prepared.record
    if record.mask is None:
        full = np.zeros((record.canvas[1], record.canvas[0], 1), dtype=np.uint8)
        (fx, fy), (x, y), (width, height) = record.fit.factors, record.fit.offset, record.native_size
        full[y : y + height * fy, x : x + width * fx] = 255
        return full
    mask = prepared.folder / record.mask
    if not mask.is_file() or not mask.resolve().is_relative_to(prepared.folder.resolve()):
        raise DatasetError(
            f"{printable(file)}: its mask {printable(record.mask)} is not there, and without it nobody knows what is "
            f"transparent; copy the folder with its hidden files, or {REMEDY}"
        )
    if record.mask_sha256 is not None and hashlib.sha256(mask.read_bytes()).hexdigest() != record.mask_sha256:
        raise DatasetError(f"{printable(file)}: its mask {printable(record.mask)} changed since; {REMEDY}")
    return read_sprite(mask)[..., :1]


def _unlike(file: Path, what: str) -> str:
    return f"{printable(file)}: is not what {MANIFEST} says: {what}; {REMEDY}"


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _warning(message: str) -> Finding:
    return Finding("manifest", Severity.warning, "", message)


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - MAX_NAMED} more"] if len(names) > MAX_NAMED else []
    return ", ".join([*map(printable, names[:MAX_NAMED]), *more])


def _is_below(path: Path, place: Path) -> bool:
    return path.is_relative_to(place) or path.resolve().is_relative_to(place)
