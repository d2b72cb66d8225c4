"""The report of a set as one HTML page: its sprites, its colours, and every finding beside its picture."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import median

import numpy as np
from PIL import Image

from spritelora.reports.set_style import POLICY, SCRIPT, STYLE
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.passes import passes_advice
from spritelora.sprites.pixels.image import Pixels, visible_colours
from spritelora.sprites.pixels.palette import count_colours

MAX_CARDS = 1000
MAX_SWATCHES = 32
MAX_PICTURE_PX = 256 * 256
PICTURE_SIDE_PX = 128
LONG_MESSAGE = 400
CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) != "\n"} | {127: 0x2421}
"""Control characters as the signs that stand for them."""


@dataclass(frozen=True)
class ReportSprite:
    """What the report shows of one sprite.

    `name`: path below the set's folder. `pixels`: native, RGBA, (h, w, 4). `caption`: None where there is none.
    `facts`: further lines below the picture, by what they tell, such as `scale`.
    """

    name: str
    pixels: Pixels
    caption: str | None
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    findings: Sequence[Finding] = ()


def make_report(
    title: str,
    sprites: Sequence[ReportSprite],
    findings: Sequence[Finding] = (),
    summary: Mapping[str, str] | None = None,
) -> str:
    """The report of a set, as the text of a page.

    `findings`: of the set, and of files that are not among `sprites` for they cannot be read. `summary`: further
    lines of the summary, by what they tell.
    """
    return "".join(_page(title, sprites, findings, summary or {}))


def _page(
    title: str, sprites: Sequence[ReportSprite], findings: Sequence[Finding], summary: Mapping[str, str]
) -> Iterator[str]:
    everything = [*findings, *(f for s in sprites for f in s.findings)]
    counts = Counter(f.severity for f in everything)
    told = ", ".join(_number(counts[s], s.value) for s in Severity if counts[s]) or "no findings"
    yield (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<header><h1>{_text(title)}</h1><p class=soft>{_number(len(sprites), 'sprite')}, {told}</p></header>\n"
    )
    yield _summary({**_own_summary(sprites), **summary})
    if findings:
        yield f'<h2>The set</h2>\n<ul class="findings of-set">{"".join(_finding(f, f.file) for f in findings)}</ul>\n'
    if sprites:
        yield _palette(sprites)
        yield from _pictures(sprites)
    yield f"<script>{SCRIPT}</script>\n</body>\n</html>\n" if sprites else "</body>\n</html>\n"


def _own_summary(sprites: Sequence[ReportSprite]) -> dict[str, str]:
    if not sprites:
        return {}
    sizes = Counter(s.pixels.shape[1::-1] for s in sprites)
    colours = [len(visible_colours(s.pixels)) for s in sprites]
    words = [len(s.caption.split()) for s in sprites if s.caption]
    common = ", ".join(f"{w} x {h} px ({n})" for (w, h), n in sizes.most_common(4))
    captions = f"{len(words)} of {len(sprites)}"
    if words:
        captions += f", {min(words)} to {max(words)} words, half of them up to {median(words):.0f}"
    return {
        "Native sizes": common + (f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""),
        "Colours in a sprite": f"{min(colours)} to {max(colours)}, half of them up to {median(colours):.0f}",
        "Captions": captions,
        "Training": str(passes_advice(len(sprites))),
    }


def _summary(lines: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{_text(what)}</dt><dd>{_text(value)}</dd></div>" for what, value in lines.items())
    return f"<h2>Summary</h2>\n<dl>{items}</dl>\n" if items else ""


def _palette(sprites: Sequence[ReportSprite]) -> str:
    visible = np.concatenate([s.pixels[s.pixels[..., 3] > 0][:, :3] for s in sprites])
    colours, counts = count_colours(visible)
    most = np.argsort(-counts, kind="stable")[:MAX_SWATCHES]
    shown = f"the {len(most)} most used of {len(colours):,} colours" if len(colours) > len(most) else "by use"
    swatches = "".join(_swatch(colours[i].tolist(), int(counts[i]) / len(visible)) for i in most)
    return f"<h2>Palette <span class=soft>{shown}</span></h2>\n<ul class=palette>{swatches}</ul>\n"


def _swatch(colour: list[int], share: float) -> str:
    code = "#{:02x}{:02x}{:02x}".format(*colour)
    return f'<li><i style="background:{code}"></i><code>{code}</code><br>{100 * share:.2g} %</li>'


def _pictures(sprites: Sequence[ReportSprite]) -> Iterator[str]:
    """The sheet at native size, the filter, and a card for each sprite, those with findings first."""
    ordered = sorted(sprites, key=lambda s: min((list(Severity).index(f.severity) for f in s.findings), default=9))
    shown = ordered[:MAX_CARDS]
    images = {id(s): _data_url(s.pixels) for s in shown}
    left_out = len(sprites) - len(shown)
    note = f"<p class=soft>{left_out:,} more sprites are not shown; those with findings come first.</p>" * (
        left_out > 0
    )
    in_order = [s for s in sprites if id(s) in images]
    yield f"<h2>At native size</h2>\n{note}<div class=sheet>"
    yield from (_image(images[id(s)], s.pixels, 1) for s in in_order)
    yield f"</div>\n<h2>Sprites</h2>\n{note}{_filter(shown)}<div class=cards>\n"
    yield from (_card(s, images[id(s)]) for s in shown)
    yield "</div>\n"


def _filter(sprites: Sequence[ReportSprite]) -> str:
    kinds = Counter(kind for s in sprites for kind in sorted({f.kind for f in s.findings}))
    buttons = [f'<button value="" aria-pressed=true>all {len(sprites)}</button>']
    buttons += [
        f'<button value="{_text(kind)}" aria-pressed=false>{_text(_words(kind))} {number}</button>'
        for kind, number in kinds.most_common()
    ]
    return f"<div id=filter hidden>{''.join(buttons)}</div>\n"


def _card(sprite: ReportSprite, url: str) -> str:
    height, width = sprite.pixels.shape[:2]
    facts = {"size": f"{width} x {height} px", "colours": str(len(visible_colours(sprite.pixels))), **sprite.facts}
    scale = max(1, PICTURE_SIDE_PX // max(width, height))
    picture = _image(url, sprite.pixels, scale) if url else "<span class=soft>too large to be shown here</span>"
    caption = _text(" ".join(sprite.caption.split())) if sprite.caption else "<em class=soft>no caption</em>"
    found = "".join(_finding(f, "") for f in sprite.findings)
    return (
        f'<figure data-kinds="{_text(" ".join(sorted({f.kind for f in sprite.findings})))}">'
        f"<div class=picture>{picture}</div><figcaption><strong>{_text(sprite.name)}</strong>{caption}"
        f"<small>{_text(', '.join(f'{what} {value}' for what, value in facts.items()))}</small>"
        f"{f'<ul class=findings>{found}</ul>' if found else ''}</figcaption></figure>\n"
    )


def _finding(finding: Finding, file: str) -> str:
    place = f"<strong>{_text(file)}</strong> " if file else ""
    head, _, rest = finding.message.partition("\n")
    message = _text(head)
    if len(rest) > LONG_MESSAGE:
        message += f"<details><summary>files</summary>{_text(rest, keep_lines=True)}</details>"
    elif rest:
        message += f"\n{_text(rest, keep_lines=True)}"
    return f"<li class={finding.severity.value}><b>{_text(_words(finding.kind))}</b> {place}{message}</li>"


def _image(url: str, pixels: Pixels, scale: int) -> str:
    height, width = pixels.shape[:2]
    size = f"width={width * scale} height={height * scale}"
    return f'<img src="{url}" {size} loading=lazy decoding=async alt="">' if url else ""


def _data_url(pixels: Pixels) -> str:
    """A native-size PNG as a URL, empty where the picture would make the page heavy."""
    if pixels.shape[0] * pixels.shape[1] > MAX_PICTURE_PX or not pixels.size:
        return ""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _text(value: str, keep_lines: bool = False) -> str:
    """Text from a file, with nothing in it that a browser would obey."""
    signs = CONTROL if keep_lines else CONTROL | {10: 0x240A}
    return escape(value.translate(signs), quote=True)
