"""The files of a folder from a stranger: links that lead out, loops, pipes and unreadable folders are named."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from spritelora.files import is_within
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.names import some_of

IMAGE_SUFFIXES = {".png", ".apng", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".ase", ".aseprite"}
TEXT_SUFFIXES = {".txt", ".caption", ".json", ".jsonl", ".csv", ".xml"}
UNREAD_SUFFIXES = {
    ".avif", ".dds", ".heic", ".ico", ".jxl", ".kra", ".pcx", ".psd", ".svg", ".tga", ".tif", ".tiff", ".xcf",
}  # fmt: skip
"""Pictures of other programs: never read, and never passed over in silence."""

LITTER = {
    ".ds_store", ".appledouble", ".fseventsd", ".spotlight-v100", ".trashes", "__macosx", "icon\r", "thumbs.db",
    "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "#recycle", "lost+found",
}  # fmt: skip
"""Files and folders that macOS, Windows, Synology and Linux leave everywhere, in lower case."""

PASSED_OVER = {
    "litter": "what operating systems leave behind",
    "folder": "a folder with the name of an image; rename it if its images belong to the set",
}
"""Why an entry is not looked into, by kind of finding."""

MAX_NAMED = 3


@dataclass(frozen=True)
class Walked:
    """The regular files below a folder, sorted by path, hidden ones left out, and what could not be taken."""

    files: list[Path]
    problems: list[Finding]


def walk_folder(folder: Path) -> Walked:
    """List a folder without leaving it: links to files of the folder are taken, links to its folders are not."""
    files: list[Path] = []
    problems: list[Finding] = []
    litter: list[str] = []
    like_images: list[str] = []
    root = folder.resolve()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = list(os.scandir(current))
        except OSError as error:
            problems.append(_error(folder, current, "unreadable", f"the folder cannot be read ({error.strerror})"))
            continue
        for entry in entries:
            path = Path(entry.path)
            if _is_litter(entry.name):
                litter.append(_name(folder, path))
            elif entry.name.startswith("."):
                continue
            elif (problem := _entry_problem(entry, root, folder)) is not None:
                problems.append(problem)
            elif entry.is_dir(follow_symlinks=False):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    like_images.append(_name(folder, path))
                else:
                    waiting.append(path)
            elif entry.is_file():
                files.append(path)
    passed_over = [
        *_passed_over("litter", Severity.note, litter),
        *_passed_over("folder", Severity.warning, like_images),
    ]
    return Walked(sorted(files), [*passed_over, *sorted(problems, key=lambda p: p.file)])


def _is_litter(name: str) -> bool:
    return name.lower() in LITTER or name.startswith("._")


def _passed_over(kind: str, severity: Severity, names: list[str]) -> list[Finding]:
    """One line for all entries of a kind that were not looked into."""
    if not names:
        return []
    return [Finding(kind, severity, "", f"{some_of(sorted(names), MAX_NAMED)} passed over: {PASSED_OVER[kind]}")]


def _entry_problem(entry: "os.DirEntry[str]", root: Path, folder: Path) -> Finding | None:
    """Why an entry cannot be taken, None where it can or where nobody would ask for it."""
    path = Path(entry.path)
    suffix = path.suffix.lower()
    matters = suffix in IMAGE_SUFFIXES | TEXT_SUFFIXES
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return _error(folder, path, "name", "the name is not UTF-8; rename it") if matters else None
    if entry.is_symlink():
        return _link_problem(path, root, folder, matters)
    if matters and not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        kind = stat.filemode(entry.stat(follow_symlinks=False).st_mode)[0]
        named = {"p": "a pipe", "s": "a socket", "c": "a device", "b": "a device"}.get(kind, "special")
        return _error(folder, path, "not_a_file", f"{named}, not a file; remove it")
    return None


def _link_problem(path: Path, root: Path, folder: Path, matters: bool) -> Finding | None:
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # RuntimeError before Python 3.13
        return _error(folder, path, "link", "a link that leads to itself; remove it")
    if not is_within(target, root):
        if matters or target.is_dir():
            return _error(
                folder, path, "link", "a link that leads out of the folder; copy what it shows into the folder"
            )
        return None
    if target.is_dir():
        message = "a link to a folder of this same set is not followed: its images are found where they are"
        return Finding("link", Severity.warning, _name(folder, path), message)
    if matters and not target.exists():
        kind = "corrupt or not an image" if path.suffix.lower() in IMAGE_SUFFIXES else "cannot be read"
        return _error(folder, path, "link", f"{kind} (a link to nothing); replace or remove it")
    if matters and not target.is_file():
        return _error(folder, path, "not_a_file", "a link to what is no file; remove it")
    return None


def _error(folder: Path, path: Path, kind: str, message: str) -> Finding:
    return Finding(kind, Severity.error, _name(folder, path), message)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
