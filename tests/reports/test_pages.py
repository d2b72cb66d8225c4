"""Report pages: whole HTML, nothing from outside, strange names harmless, no error in a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from spritelora.evaluation.comparison import Row
from spritelora.reports.advice import Origin
from spritelora.reports.answers import answer_questions
from spritelora.reports.before_after import show_change
from spritelora.reports.charts import Line, colour_plane, line_chart
from spritelora.reports.comparison_page import make_page as comparison_page
from spritelora.reports.page import make_picture, render
from spritelora.reports.set_report import ReportSprite, make_report
from spritelora.reports.validation_page import NARROW_PX, PICTURE_PX, PageSprites, _shown_px
from spritelora.reports.validation_page import make_page as validation_page
from tests.captioning.browser import open_browser
from tests.evaluation.test_validation import (
    BASE,
    NUM,
    REFERENCE,
    TRAINING,
    UNSEEN,
    drawn,
    validation,
    without_grid,
)

VOID = {"meta", "img", "br"}
NASTY = "<script>alert(1)</script>\" onload='x' \u202e &amp;"


class Reader(HTMLParser):
    """Tags that are closed in order, and every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def pages() -> dict[str, str]:
    sprites = PageSprites(TRAINING, [NASTY] * len(TRAINING), REFERENCE.palette)
    found = validation(BASE, s5=BASE, s10=drawn(UNSEEN[: 2 * NUM]))
    values = {"palette_distance": np.linspace(0.1, 0.2, 12)}
    losses = {"": [(0.0, 0.3), (10.0, 0.1)], "0_500": [(0.0, 0.4), (10.0, 0.2)]}
    rows = [
        Row({"name": NASTY, "status": "finished", "validation_loss": 0.1}, losses, values, "x"),
        Row({"name": "b", "status": "failed", "problem": NASTY, "validation_loss": 0.2}, losses, values, "x"),
    ]
    answers = answer_questions(found, Origin((f"loras={NASTY}",), NASTY))
    return {
        "validation": validation_page(NASTY, found, {"model": NASTY, "data": {"note": NASTY}}, sprites, answers),
        "comparison": comparison_page(rows, "validation_loss", [NASTY], {NASTY: {NASTY: BASE.images[0]}}),
    }


@pytest.mark.parametrize("name", ["validation", "comparison"])
def test_pages_are_whole_and_need_nothing_from_outside(name: str) -> None:
    page, reader = pages()[name], Reader()
    reader.feed(page)
    assert not reader.open
    assert all(address.startswith("data:image/") for address in reader.addresses)
    assert not re.search(r"https?:|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert {"img", "svg", "table"} <= set(reader.tags)


def test_the_best_strength_is_marked() -> None:
    page = pages()["validation"]
    assert ">best 1</text>" in page
    assert ">best 0.5</text>" not in page


def test_a_row_shows_base_lora_snapped_and_nearest() -> None:
    row = re.search(r'<div class="row">.*?</div>\n</div>\n</div>', pages()["validation"], re.DOTALL)
    assert row is not None
    assert re.findall(r'alt="(base|LoRA|as a sprite)"', row[0]) == ["base", "LoRA", "as a sprite"]
    assert len(re.findall("<div style=", row[0])) == 4
    assert "most similar of your sprites, 0." in row[0]


def test_small_pictures_are_kept_to_the_bit_and_enlarged_by_whole_factors() -> None:
    import base64
    import io

    from PIL import Image

    shown = make_picture(UNSEEN[0], 100)
    assert (shown.width, shown.height) == (96, 96)
    data = base64.b64decode(shown.url.partition("base64,")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), UNSEEN[0])
    assert "image/webp" in make_picture(np.zeros((512, 512, 3), np.uint8), 256).url


@pytest.mark.parametrize("side_px", [64, 128, 192, 256, 512, 640, 1024, 1152])
def test_a_drawn_image_is_shown_in_whole_pixels_on_wide_screens_and_on_phones(side_px: int) -> None:
    for wanted_px in (PICTURE_PX, NARROW_PX):
        shown = _shown_px(side_px, wanted_px)
        assert shown % side_px == 0 or side_px % shown == 0
        assert shown <= 2 * wanted_px
    assert _shown_px(side_px, NARROW_PX) <= 147, "two do not lie beside one another on a phone of 360 px"


def test_metrics_without_pairs_are_left_out_with_their_reason() -> None:
    absent, sprites = without_grid(), PageSprites(TRAINING, [""] * len(TRAINING), REFERENCE.palette)
    page = validation_page("a", absent, {}, sprites, answer_questions(absent, Origin()))
    (rows,) = re.findall(r"<h2>Metrics at strength 1</h2>.*?</table>", page, re.DOTALL)
    assert "snap residual" not in rows
    assert "num" in rows
    assert "Left out: " in page
    assert "no grid of native pixels was found" in page
    assert ">0</td>" not in rows


def test_metrics_that_are_zero_at_every_strength_are_a_line_and_no_chart() -> None:
    page = pages()["validation"]
    flat = re.search(r'<p class="soft">0 at every strength: (.*)\.</p>', page)
    assert flat is not None
    names, charts = flat[1].split(", "), page.partition("<h2>By strength")[2].partition("<h2>The same picture")[0]
    assert "snap residual" in names
    assert not [name for name in names if f"<strong>{name}" in charts]
    assert charts.count("<figure><strong>num") + charts.count("<figure><strong>palette distance") > 0


def test_a_chart_with_holes_and_a_flat_line_has_no_nan() -> None:
    nan = float("nan")
    for line in (
        Line([0.5, 1.0, 1.2], [0.0, nan, 0.0], [(0, 0), (nan, nan), (0, 0)]),
        Line([1.0], [nan]),
        Line([], []),
    ):
        drawn_ = line_chart([line], level=nan, mark=1.0)
        assert "nan" not in drawn_
    assert "nan" not in colour_plane(REFERENCE.palette.colours, REFERENCE.palette.weights)


def test_higher_values_are_drawn_higher() -> None:
    ys = [float(y) for y in re.findall(r'cy="([\d.]+)"', line_chart([Line([1, 2, 3], [0.1, 0.3, 0.2])]))]
    assert ys[0] > ys[2] > ys[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium here")
@pytest.mark.parametrize("name", ["validation", "comparison"])
def test_a_browser_has_nothing_to_complain_about(tmp_path: Path, name: str) -> None:
    probe = "<script>document.title = document.documentElement.scrollWidth + ' ' + innerWidth</script>"
    page = pages()[name].replace("</body>", f"{probe}</body>")
    (tmp_path / "page.html").write_text(page)
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--enable-logging=stderr",
        "--window-size=500,900",
        "--dump-dom",
    ]
    done = subprocess.run([*command, f"file://{tmp_path}/page.html"], capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr
    assert (size := re.search(r"<title>(\d+) (\d+)</title>", done.stdout))
    assert int(size[1]) <= int(size[2]), "the page is wider than a phone"


MEASURE = """
const shown = [...document.images].filter(image => image.checkVisibility());
return shown.map(image => {
  const {width, height} = image.getBoundingClientRect();
  return [width, height, image.naturalWidth, image.naturalHeight];
});
"""


@pytest.mark.slow
def test_pixels_are_square_and_whole_at_every_width(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(pages()["validation"].replace('loading="lazy"', ""))
    with open_browser() as browser:
        for screen in (360, 390, 560, 700, 1000, 1200, 1600):
            size = {"width": screen, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(f"file://{tmp_path}/page.html")
            shown = browser.execute_script(MEASURE)
            assert len(shown) > 4 * NUM
            for width, height, natural_w, natural_h in shown:
                assert width * natural_h == height * natural_w, (screen, width, height)
                assert width % natural_w == 0 or natural_w % width == 0, (screen, width, natural_w)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= screen


CHARTS = """
return [...document.querySelectorAll("svg")].map(chart => {
  const {width, height} = chart.getBoundingClientRect();
  return [width, height, chart.querySelectorAll("circle, path, polyline, rect, image").length];
});
"""


def a_report() -> str:
    sizes = ((16, 16), (32, 20), (7, 40), (64, 64), (300, 120))
    shown = [
        ReportSprite(f"{NASTY[:9]}_{'long_' * 12}{h}x{w}.png", np.full((h, w, 4), 90 + h % 100, np.uint8), "a " * 40)
        for h, w in sizes
    ]
    before, after = shown[0].pixels, np.zeros((16, 16, 4), np.uint8)
    return make_report("art", shown, changes=[show_change("a.png", before, after, "background #123456 cut out")])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["validation", "comparison", "report"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_stretched_empty_or_wider_than_the_screen(name: str, scheme: str, tmp_path: Path) -> None:
    page = a_report() if name == "report" else pages()[name]
    (tmp_path / "page.html").write_text(page.replace('loading="lazy"', ""))
    with open_browser() as browser:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        for screen in (390, 1200):
            size = {"width": screen, "height": 6000, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(f"file://{tmp_path}/page.html")
            shown, charts = browser.execute_script(MEASURE), browser.execute_script(CHARTS)
            assert shown
            for width, height, natural_w, natural_h in shown:
                assert abs(width / height - natural_w / natural_h) * min(natural_w, natural_h) < 1, (screen, natural_w)
            assert bool(charts) == (name != "report")
            assert all(width > 0 and height > 0 and marks for width, height, marks in charts), charts
            assert browser.execute_script("return document.documentElement.scrollWidth") <= screen


def test_a_value_that_a_page_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="subtitle"):
        render("comparison.html", title="a")
