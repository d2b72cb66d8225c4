"""Safetensors files: opened, or named for what they are instead."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from spritelora import limits
from spritelora.errors import WeightsError, first_line

if TYPE_CHECKING:
    from torch import Tensor

PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
LOOKED_AT = 4096
"""Bytes at the start of a file that tell what it is."""
LENGTH_BYTES, LONGEST_HEADER = 8, 100_000_000
"""Of a safetensors file: the size of the number that it begins with, and the largest that this may be."""
AGAIN = "fetch it again"
WANTED = "give a .safetensors file"


@dataclass(frozen=True)
class Stranger:
    """A file that is not of the kind its name says. `remedy`: what to do."""

    name: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}; {self.remedy}"


PICKLE = Stranger(
    "a pickle, which can run any code when it is read, so it is not",
    "ask for the .safetensors file, or convert it where you trust it",
)
LFS_POINTER = Stranger(
    "a Git LFS pointer, the few lines that stand for a large file",
    "run `git lfs pull` in its repository, or download the file itself",
)
ANNEX_POINTER = Stranger("a git-annex pointer", "run `git annex get` in its repository, or download the file itself")
WEB_PAGE = Stranger(
    "a web page (HTML)",
    "the site may ask for a login or a licence first; download the file itself: at huggingface.co its link has "
    "/resolve/ where the page's has /blob/",
)
INDEX = Stranger("the list (JSON) of a model in several files", "give the folder that it is in")
EMPTY = Stranger("empty: a download or a copy that failed", AGAIN)
ZEROS = Stranger("full of zeros: a download that was not finished", AGAIN)
STAND_INS = (LFS_POINTER, ANNEX_POINTER, WEB_PAGE, EMPTY, ZEROS)
POINTERS = ((b"version https://git-lfs.github.com/spec/", LFS_POINTER), (b"/annex/objects/", ANNEX_POINTER))
SIGNATURES = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"GGUF", "a GGUF file, of quantised weights"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file, such as a WebP picture"),
    (b"%PDF-", "a PDF document"),
    (b"\xff\xfe", "a text file in UTF-16"),
)


def open_tensors(file: Path) -> Any:
    """An open safetensors file, a context. Raises WeightsError, naming what it is instead, for anything else."""
    try:
        _check_header_size(file)
        opened = safe_open(file, framework="pt")
        _check_names(opened.keys())
        return opened
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: {_explain(file, error)}") from error
    except ValueError as error:
        raise WeightsError(f"{file}: {error}; {WANTED}") from error


def read_tensors(file: Path) -> "dict[str, Tensor]":
    """All tensors of a safetensors file, in memory. Raises WeightsError, naming what it is instead."""
    return read_tensors_and_metadata(file)[0]


def read_tensors_and_metadata(file: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """All tensors of a safetensors file, and what its header tells besides. Raises WeightsError as `open_tensors`."""
    with open_tensors(file) as opened:
        try:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return tensors, dict(opened.metadata() or {})
        except (SafetensorError, KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"{file}: a tensor in it cannot be read ({first_line(error)}); {AGAIN}") from error


def recognise(file: Path) -> Stranger | None:
    """The kind of a file by its first bytes, such as a page or a pointer; None for binary content of no known kind.

    A safetensors file, whole or not, is None too. Raises OSError where it cannot be read.
    """
    with file.open("rb") as stream:
        start = stream.read(LOOKED_AT)
    if not start:
        return EMPTY
    if _header_size(start) is not None:
        return None
    if not start.strip(b"\0"):
        return ZEROS
    if start.startswith(b"PK\x03\x04"):
        return _zip(file)
    if start.startswith(b"\x80") and len(start) > 1 and start[1] <= 5:
        return PICKLE
    found = next((stranger for signature, stranger in POINTERS if start.startswith(signature)), None)
    name = next((name for signature, name in SIGNATURES if start.startswith(signature)), None)
    return found or (Stranger(name, WANTED) if name else _text(file, start))


def stand_in(file: Path) -> Stranger | None:
    """The stand-in for a file of any kind, such as a pointer or a page; None for the file itself."""
    stranger = recognise(file)
    return stranger if stranger in STAND_INS else None


def check_settings(place: Path) -> None:
    """Raise WeightsError where something stands in the place of a folder's text files, or of the file itself."""
    files = sorted(f for f in place.iterdir() if f.suffix in (".json", ".txt")) if place.is_dir() else [place]
    if found := [f"{file}: {instead}" for file in files if (instead := stand_in(file)) is not None]:
        raise WeightsError("\n  ".join(found))


def _explain(file: Path, error: Exception) -> str:
    """Why safetensors did not open a file, and what to do."""
    if not file.exists():
        link = f", for it links to {file.readlink()}, which is not there" if file.is_symlink() else ""
        return f"no such file{link}; {WANTED}"
    if not file.is_file():
        return f"not a file; {WANTED}"
    try:
        return str(recognise(file) or _damage(file, error))
    except OSError as unread:
        return f"cannot be read ({unread.strerror}); give access, or another file"


def _header_size(start: bytes) -> int | None:
    """The size that a safetensors file says its header has; None where the bytes are not the start of one."""
    size = int.from_bytes(start[:LENGTH_BYTES], "little")
    return size if start[LENGTH_BYTES:][:1] == b"{" and size <= LONGEST_HEADER else None


def _check_header_size(file: Path) -> None:
    """Raise ValueError for a header of a size that takes long to read. Raises OSError."""
    with file.open("rb") as stream:
        size = _header_size(stream.read(LENGTH_BYTES + 1))
    if size is not None:
        limits.HEADER_BYTES.check(size)


def _check_names(names: Sequence[str]) -> None:
    limits.TENSORS.check(len(names))
    longest = max(names, key=len, default="")
    limits.TENSOR_NAME.check(len(longest), begin=longest[:40])


def _damage(file: Path, error: Exception) -> Stranger:
    size = file.stat().st_size
    with file.open("rb") as stream:
        header_size = _header_size(stream.read(LENGTH_BYTES + 1))
        if header_size is None:
            if file.suffix in PICKLES:
                return PICKLE
            return Stranger(f"not a safetensors file, nor of another kind known here ({size} bytes)", WANTED)
        stream.seek(LENGTH_BYTES)
        header = stream.read(header_size)
    whole = LENGTH_BYTES + header_size + _tensor_bytes(header)
    if size < whole:
        return Stranger(f"not a whole safetensors file: cut short, {size} of at least {whole} bytes are there", AGAIN)
    return Stranger(f"not a whole safetensors file: damaged ({first_line(error)})", AGAIN)


def _tensor_bytes(header: bytes) -> int:
    """The bytes after the header, as it says; 0 where it is damaged."""
    try:
        entries: Mapping[str, Any] = json.loads(header)
        return max((entry["data_offsets"][1] for entry in entries.values() if "data_offsets" in entry), default=0)
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return 0


def _zip(file: Path) -> Stranger:
    """torch's pickles are zip archives."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return PICKLE
    if any(name.endswith("data.pkl") for name in names):
        return PICKLE
    return Stranger("a zip archive", "unpack it, and give the .safetensors file that is in it")


def _text(file: Path, start: bytes) -> Stranger | None:
    """The kind of a text that a server or a program left in place of the file; None where this is no text."""
    try:
        text = start.decode("utf-8-sig", errors="strict" if len(start) < LOOKED_AT else "ignore")
    except UnicodeDecodeError:
        return None
    if any(ord(letter) < 32 and letter not in "\t\r\n\f" for letter in text):
        return None
    words = " ".join(text.split())
    if not words:
        return EMPTY
    if words.startswith("<"):
        kind = "an XML document"
        if "<html" in words.lower():
            return WEB_PAGE
    elif words.startswith(("{", "[")):
        kind = "JSON"
        if '"weight_map"' in words:
            return INDEX
    elif file.suffix in PICKLES:  # the oldest pickles are text
        return PICKLE
    else:
        kind = "a text file"
    shown = f"{words[:80]}..." if len(words) > 80 else words
    return Stranger(f"{kind} that begins '{shown}'", f"{WANTED}; a server may have sent this in its place")
