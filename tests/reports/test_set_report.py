"""The report shows every sprite pixel by pixel, every finding, and nothing that a file's name could smuggle in."""

import base64
import io
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spritelora.reports.set_report import MAX_CARDS, ReportSprite, Trained, make_report
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.pixels.image import apply_matte
from spritelora.sprites.pixels.placement import Fit
from tests.conftest import draw_sprite

HOSTILE = '<img src=x onerror="alert(1)">\n&amp;\x1b[31m'


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.html = file.read_text(encoding="utf-8")
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write_report(file: Path, *parts: Any) -> None:
    file.write_text(make_report(*parts), encoding="utf-8")


def sprite(number: int, *found: Finding, name: str | None = None) -> ReportSprite:
    return ReportSprite(name or f"{number:02d}.png", draw_sprite(number), f"pixel art, potion {number}", {}, found)


def finding(kind: str, file: str = "", message: str = "look at this", severity: Severity = Severity.warning) -> Finding:
    return Finding(kind, severity, file, message)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    sprites = [sprite(n) for n in range(4)]
    sprites += [sprite(4, finding("duplicate"), finding("jpeg")), sprite(5, finding("duplicate"))]
    sprites += [sprite(6, finding("corrupt", severity=Severity.error))]
    write_report(tmp_path / "report.html", "my set", sprites, [finding("few_sprites", "", "6 sprites")])
    return Page(tmp_path / "report.html")


def test_pictures_are_the_native_pixels_small_and_in_whole_factors(page: Page) -> None:
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode((i["src"] or "").partition(",")[2])))) for i in
             page.all("img")]  # fmt: skip
    assert Counter(int(i["width"] or 0) for i in page.all("img")) == {16: 7, 128: 7}
    assert all(any(np.array_equal(draw_sprite(n), s) for s in shown[:7]) for n in range(7))
    assert sorted(s.tobytes() for s in shown[:7]) == sorted(s.tobytes() for s in shown[7:])
    assert "image-rendering: pixelated" in page.html


def test_the_page_needs_nothing_from_elsewhere(page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page.html)
    assert {(i["src"] or "")[:22] for i in page.all("img")} == {"data:image/png;base64,"}
    assert not page.all("link")
    assert "default-src 'none'" in str(page.all("meta"))


def test_findings_stand_beside_their_pictures_the_worst_first(page: Page) -> None:
    assert [f["data-kinds"] for f in page.all("figure")] == ["corrupt", "duplicate jpeg", "duplicate", "", "", "", ""]
    assert [b["value"] for b in page.all("button")][:2] == ["", "duplicate"]
    assert {b["value"] for b in page.all("button")} == {"", "duplicate", "corrupt", "jpeg"}
    assert "7 sprites, 1 error, 4 warnings" in page.text
    assert page.text.index("few sprites") < page.text.index("Palette") < page.text.index("06.png")


def test_without_scripts_all_is_readable(page: Page) -> None:
    assert "hidden" in next(a for a in page.all("div") if a.get("id") == "filter")
    assert not [f for f in page.all("figure") if "hidden" in f]
    assert page.text.count("look at this") == 3 + 4  # of three kinds, and beside four pictures


def test_the_summary_tells_sizes_colours_captions_and_steps(page: Page) -> None:
    for line in (
        "16 x 16 px (7)",
        "Captions7 of 7, 4 words each",
        "44 to 88 steps with the embedded base",
    ):
        assert line in page.text


def test_the_palette_shows_what_is_visible_by_use(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., :3] = (255, 0, 255)  # hidden under alpha 0
    pixels[:2] = (10, 20, 30, 255)
    pixels[2, :2] = (200, 0, 0, 255)
    write_report(tmp_path / "r.html", "x", [ReportSprite("a.png", pixels, None)])
    page = Page(tmp_path / "r.html")
    assert re.findall(r"background:(#\w+)", page.html.partition("</style>")[2]) == ["#0a141e", "#c80000"]
    assert "80 %" in page.text
    assert "no caption" in page.text


def test_text_of_files_stays_text(tmp_path: Path) -> None:
    hostile = ReportSprite(HOSTILE, draw_sprite(0), HOSTILE, {HOSTILE: HOSTILE}, [finding(HOSTILE, "", HOSTILE)])
    odd_name = "bytes \udcff of no text.png"
    write_report(tmp_path / "r.html", HOSTILE, [hostile, sprite(1, name=odd_name)], [finding("x", HOSTILE, HOSTILE)])
    page = Page(tmp_path / "r.html")
    assert len(page.all("img")) == 4
    assert not [a for _, a in page.tags if "onerror" in a]
    assert page.text.count('onerror="alert(1)"') >= 8
    assert r"&amp;\x1b[31m" in page.text
    assert "\x1b" not in page.html
    assert r"bytes \udcff of no text.png" in page.text


def test_what_the_embedded_base_cannot_draw_is_said_below_the_summary() -> None:
    page = make_report("x", [sprite(1)], base_note="1 of 1 sprite does not fit 16x16 px")
    assert page.index("<h2>Summary") < page.index("<p>1 of 1 sprite does not fit 16x16 px.</p>") < page.index("Palette")


def test_a_long_list_of_files_is_folded(tmp_path: Path) -> None:
    message = "two styles; train two sets\nfirst set: " + ", ".join(f"{n}.png" for n in range(200))
    write_report(tmp_path / "r.html", "x", [], [finding("two_styles", "", message)])
    page = Page(tmp_path / "r.html")
    assert len(page.all("details")) == 1
    assert "199.png" in page.text


def test_a_kind_is_one_line_and_the_three_that_matter_come_before_the_fold(tmp_path: Path) -> None:
    swaps = [sprite(n, finding("swap", f"{n:02d}.png", f"swap {n}", Severity.note)) for n in range(9)]
    many = [sprite(n, finding("jpeg", f"{n:02d}.png", f"jpeg {n}")) for n in range(10, 15)]
    few = [sprite(n, finding("mixels", f"{n:02d}.png", f"mixels {n}")) for n in range(20, 22)]
    broken = sprite(30, finding("corrupt", "30.png", "corrupt 30", Severity.error))
    of_set = finding("few_sprites", "", "16 sprites")
    write_report(tmp_path / "r.html", "x", [*swaps, *many, *few, broken], [of_set])
    text = Page(tmp_path / "r.html").html.partition("What was found")[2].partition("<h2>Palette")[0]
    lines = [
        "corrupt 30",
        "16 sprites",
        "jpeg 10",
        "4 more",
        "jpeg 11",
        "2 more kinds of findings",
        "mixels 20",
        "swap 0",
    ]
    assert [text.index(line) for line in lines] == sorted(text.index(line) for line in lines)


def test_a_sprite_is_shown_as_training_sees_it(tmp_path: Path) -> None:
    """Two cells left and above on a canvas of 20 cells, in whole cells of the background's colour around it."""
    place = Trained(Fit((8, 8), (16, 16), (160, 160)), (60, 255, 60))
    shown = ReportSprite("a.png", draw_sprite(1), "x", trained=place)
    write_report(tmp_path / "r.html", "x", [shown])
    page = Page(tmp_path / "r.html")
    picture = page.all("img")[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode((picture["src"] or "").partition(",")[2]))))
    assert (picture["width"], picture["height"]) == ("120", "120")
    assert (pixels[2:18, 2:18] == apply_matte(draw_sprite(1), (60, 255, 60))).all()
    assert (pixels[[0, 1, 18, 19]] == (60, 255, 60)).all()
    assert (
        "one sprite pixel = 8 image pixels; canvas 160 x 160 px; padding 16 left, 16 right, 16 above, 16 below; "
        "background #3cff3c" in page.text
    )


def test_a_large_set_shows_its_findings_first_and_says_what_is_left_out(tmp_path: Path) -> None:
    many = [ReportSprite(f"{n}.png", draw_sprite(n % 7, 8), "x") for n in range(MAX_CARDS + 20)]
    write_report(tmp_path / "r.html", "x", [*many, sprite(0, finding("jpeg"), name="last.png")])
    page = Page(tmp_path / "r.html")
    assert len(page.all("figure")) == MAX_CARDS
    assert page.all("figure")[0]["data-kinds"] == "jpeg"
    assert "21 more sprites are not shown" in page.text
    assert "1,021 sprites" in page.text
    assert "Captions1021 of 1021" in page.text
    assert len(page.html) < 4_000_000


def test_a_picture_too_heavy_is_left_out_with_a_word(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (300, 300, 4), np.uint8)
    write_report(tmp_path / "r.html", "x", [ReportSprite("photo.png", photo, "x")])
    page = Page(tmp_path / "r.html")
    assert not page.all("img")
    assert "too large to be shown here" in page.text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
def test_a_browser_filters_by_kind(tmp_path: Path, page: Page) -> None:
    click = "<script>document.querySelector('button[value=duplicate]').click()</script>"
    (tmp_path / "clicked.html").write_text(page.html.replace("</body>", f"{click}</body>"))
    command = ["chromium", "--headless", "--no-sandbox", "--dump-dom", f"file://{tmp_path}/clicked.html"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    figures = re.findall(r"<figure [^>]*>", dom)
    assert [" hidden" in f for f in figures] == [True, False, False, True, True, True, True]
