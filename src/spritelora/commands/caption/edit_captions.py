"""Captions edited by hand: on a page in the browser, or as one text in a terminal's editor."""

import logging
import webbrowser
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from spritelora.errors import ConfigError, DatasetError
from spritelora.shown import counted
from spritelora.sprites.findings import Finding
from spritelora.sprites.folder.caption_files import caption_version, side_car, write_caption
from spritelora.sprites.folder.sources import Source, refuse

log = logging.getLogger(__name__)


def edit_on_page(
    folder: Path, lint: Callable[[Mapping[str, str | None]], list[Finding]], port: int, open_browser: bool
) -> None:
    """Serve the page until Ctrl-C."""
    if find_spec("flask") is None:
        raise ConfigError("mode=edit needs Flask: pip install 'spritelora[edit]', or edit in the terminal: editor=true")
    from spritelora.captioning.book import CaptionBook
    from spritelora.captioning.server import make_page_server

    server = make_page_server(CaptionBook(folder, lint), port)
    address = f"http://127.0.0.1:{server.port}/"
    log.info("captions of %s: %s (this machine only; Ctrl-C ends it, every change is saved at once)", folder, address)
    if open_browser:
        webbrowser.open(address)
    server.serve_forever()


def edit_as_text(folder: Path, sources: list[Source]) -> None:
    """Let $EDITOR change all captions at once, then write those that differ.

    Raises DatasetError where a line cannot be read, and names captions that changed on disk meanwhile: those stay.
    """
    from spritelora.captioning.as_text import edit_text, find_editor, read_text, write_text

    files = {source.name: file for source in sources if (file := side_car(source)) is not None}
    captions = {source.name: source.caption for source in sources if source.name in files}
    if len(captions) < len(sources):
        log.info("%d captions come from files of other kinds and are left out", len(sources) - len(captions))
    versions = {name: caption_version(file) for name, file in files.items()}
    text, kept_in = edit_text(find_editor(), write_text(captions))
    try:
        edited = read_text(text, captions)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error}\nyour text is in {kept_in}") from error
    changed = {name: caption for name, caption in edited.items() if caption != (captions[name] or "")}
    stale = [name for name in changed if caption_version(files[name]) != versions[name]]
    for name in changed.keys() - set(stale):
        write_caption(files[name], changed[name])
    log.info("%s changed", counted(len(changed) - len(stale), "caption"))
    refuse(folder, [f"{n}: changed on disk meanwhile, and left so; your text is in {kept_in}" for n in stale])
    kept_in.unlink()
