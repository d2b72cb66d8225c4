"""A folder of sprites with its captions as the page serves them, and a browser to look at it."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spritelora.captioning.book import CaptionBook
from spritelora.sprites.checks.caption_lint import lint_captions
from spritelora.sprites.findings import Finding
from tests.captioning.browser import open_browser
from tests.conftest import draw_sprite

WEIRD = 'a "b" <i>&#? é.png'


def lint(captions: Mapping[str, str | None]) -> list[Finding]:
    return lint_captions(captions, lambda caption: len(caption.split()) + 2, str)


@pytest.fixture
def book(sprite_folder: Path) -> CaptionBook:
    Image.fromarray(draw_sprite(50)).save(sprite_folder / WEIRD)
    return CaptionBook(sprite_folder, lint)


@pytest.fixture
def address(book: CaptionBook) -> Iterator[str]:
    from spritelora.captioning.server import make_page_server

    server = make_page_server(book, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def client(book: CaptionBook) -> Any:
    from spritelora.captioning.server import make_app

    book.read()
    return make_app(book).test_client()


@pytest.fixture(scope="session")
def opened_browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def browser(opened_browser: Any) -> Iterator[Any]:
    yield opened_browser
    opened_browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
