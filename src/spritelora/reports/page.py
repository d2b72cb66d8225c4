"""Parts of report pages: one file each, no network, readable on a phone, pictures enlarged without smoothing."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from spritelora.reports.set_style import POLICY
from spritelora.reports.set_style import STYLE as REPORT_STYLE
from spritelora.sprites.names import printable
from spritelora.sprites.pixels.image import Pixels

LOSSLESS_PX = 256
"""Side up to which a picture is kept to the bit; above, a page of them would not open on a phone."""

STYLE = """
:root { --good: #1b7a3d; --mixed: #8a5a00; --bad: #b3261e; --unknown: #63636f; --band: #2b5fa833; --series: #2b5fa8; }
@media (prefers-color-scheme: dark) { :root { --good: #6fd08f; --mixed: #f0bb5e; --bad: #ff8f86; --unknown: #a2a2b0;
  --band: #8fbcff33; --series: #8fbcff; } }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: .8rem;
  margin: 1.2rem 0; }
.answers section { background: var(--card); border: 1px solid var(--line); border-top: 4px solid var(--tone);
  border-radius: 8px; padding: .8rem 1rem; }
.answers h3 { font-size: .95rem; font-weight: 500; margin: 0; color: var(--soft); }
.answers strong { display: block; font-size: 1.15rem; line-height: 1.3; color: var(--tone); margin: .2rem 0 .4rem; }
.answers p { font-size: .9rem; line-height: 1.45; overflow-wrap: anywhere; }
.good { --tone: var(--good); } .mixed { --tone: var(--mixed); } .bad { --tone: var(--bad); }
.unknown { --tone: var(--unknown); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
table { border-collapse: collapse; font-size: .88rem; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; white-space: nowrap; } td.number, th.number { text-align: right; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; }
td b { color: var(--tone, inherit); font-weight: 600; } tr.best td { background: var(--band); }
td .why { min-width: 18rem; overflow-wrap: anywhere; }
th button { border: 0; padding: 0; background: none; font-weight: 600; min-height: 0; border-radius: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .8rem; }
.charts figure { display: block; content-visibility: visible; }
.charts strong, .charts small { display: block; } .charts small { color: var(--soft); margin-bottom: .4rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.rows { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.row { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem; min-width: 0; }
.row h3 { font-size: .92rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; }
.tiles div { font-size: .78rem; line-height: 1.35; color: var(--soft); width: var(--wide); max-width: 100%;
  overflow-wrap: anywhere; }
.tiles img { margin-bottom: .2rem; width: 100%; height: auto; }
.tiles div.best { color: var(--ink); font-weight: 600; }
@media (max-width: 40rem) { .tiles div { width: var(--narrow); } }
"""


def document(title: str, subtitle: str, body: Iterable[str], script: str = "") -> str:
    """A whole page."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<style>{REPORT_STYLE}{STYLE}</style>\n'
        f"</head>\n<body>\n<header><h1>{text(title)}</h1><p class=soft>{text(subtitle)}</p></header>\n"
        f"{''.join(body)}{f'<script>{script}</script>' if script else ''}</body>\n</html>\n"
    )


def text(value: object) -> str:
    """Text from a file or a user, with nothing in it that a browser would obey."""
    return escape(printable(value), quote=True)


def picture(pixels: Pixels, side_px: int, label: str = "") -> str:
    """An image (H, W, 3) shown `side_px` wide, enlarged by a whole factor where it is smaller."""
    width, height = _shown_size(pixels, side_px)
    return (
        f'<img src="{_data_url(pixels)}" width={width} height={height} loading=lazy decoding=async alt="{text(label)}">'
    )


def tile(
    pixels: Pixels, side_px: int, caption: str, label: str = "", narrow_px: int | None = None, best: bool = False
) -> str:
    """An image over its caption, which is HTML. `narrow_px`: how wide it is shown on a phone, unset: as elsewhere."""
    wide, narrow = (_shown_size(pixels, px)[0] for px in (side_px, narrow_px or side_px))
    kind = " class=best" if best else ""
    return f'<div{kind} style="--wide:{wide}px;--narrow:{narrow}px">{picture(pixels, side_px, label)}{caption}</div>'


def facts(lines: Iterable[tuple[str, object]]) -> str:
    """A list of what is told, by what it is."""
    return "<dl>" + "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in lines) + "</dl>\n"


def table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], numbers_from: int = 1) -> str:
    """A table of HTML cells. `rows`: class and cells. Columns from `numbers_from` on are numbers."""
    kind = ["" if i < numbers_from else " class=number" for i in range(len(heads))]
    head = "".join(f"<th{k}>{h}</th>" for k, h in zip(kind, heads, strict=True))
    body = "".join(
        f"<tr{f' class={name}' if name else ''}>{''.join(f'<td{k}>{c}</td>' for k, c in zip(kind, cells, strict=True))}"
        f"</tr>"
        for name, cells in rows
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"


def _shown_size(pixels: Pixels, side_px: int) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    factor = side_px // max(height, width)
    return (width * factor, height * factor) if factor else (side_px, side_px * height // width)


def _data_url(pixels: Pixels) -> str:
    stream = io.BytesIO()
    if max(pixels.shape[:2]) <= LOSSLESS_PX:
        Image.fromarray(pixels).save(stream, "PNG", optimize=True)
        kind = "png"
    else:
        Image.fromarray(pixels).save(stream, "WEBP", quality=85)
        kind = "webp"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode()
