"""Each finding planted once into a clean set is found, alone, and the clean set has none."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from spritelora.embedded.drawn import draw_demo_set, draw_sprite, sample_spec
from spritelora.embedded.drawn.render import Style
from spritelora.sprites.checks.duplicates import find_duplicates, num_different
from spritelora.sprites.checks.fingerprint import content_of
from spritelora.sprites.checks.set_lint import find_few, find_mixed_scales, lint_set
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.passes import USUAL_BATCHES, passes_advice, steps_advice
from spritelora.sprites.pixels.image import Pixels, read_sprite
from spritelora.sprites.pixels.native import NativeScale
from tests.composing import compose

pytestmark = pytest.mark.numeric

DCSS = Path(__file__).parents[4] / "shared" / "data" / "dcss"
CLEAN_SEED = 4

Sprites = dict[str, Pixels]


def sample_sprites(style: Style, count: int, seed: int, prefix: str = "s") -> Sprites:
    """Sprites of one style, cut out: their plain background is transparent. No two have one silhouette."""
    rng = np.random.default_rng(seed)
    background = "black" if style is Style.LIGHT_ON_DARK else "white"
    found: Sprites = {}
    silhouettes: set[tuple[int, ...]] = set()
    while len(found) < count:
        spec = dataclasses.replace(sample_spec(rng), style=style, background=background)
        sprite = cut_out(draw_sprite(spec, rng))
        widths = [n for n in (sprite[..., 3] > 0).sum(axis=1).tolist() if n]
        silhouette = min(tuple(widths), tuple(widths[::-1]))
        if silhouette not in silhouettes:
            silhouettes.add(silhouette)
            found[f"{prefix}{len(found):03d}.png"] = sprite
    return found


def cut_out(pixels: Pixels) -> Pixels:
    """An RGB drawing as RGBA, its corner's colour transparent wherever it reaches the border."""
    empty = (pixels == pixels[0, 0]).all(axis=-1)
    outside = np.zeros_like(empty)
    outside[0] = outside[-1] = outside[:, 0] = outside[:, -1] = True
    outside &= empty
    for _ in range(pixels.size):
        grown = np.pad(outside, 1)
        grown = (grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:] | outside) & empty
        if (grown == outside).all():
            break
        outside = grown
    return np.dstack([pixels, np.where(outside, 0, 255).astype(np.uint8)])


@pytest.fixture(scope="module")
def clean() -> Sprites:
    return sample_sprites(Style.SHADED, 80, CLEAN_SEED)


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.kind, f.file) for f in findings]


def changed(sprite: Pixels, number: int) -> Pixels:
    """The sprite with so many of its visible pixels in a colour of their own."""
    rows, columns = np.nonzero(sprite[..., 3])
    chosen = np.random.default_rng(0).permutation(len(rows))[:number]
    again = sprite.copy()
    again[rows[chosen], columns[chosen], :3] = (1, 254, 3)
    return again


def recoloured(sprite: Pixels) -> Pixels:
    """Every colour exchanged for another, one to one."""
    again = sprite.copy()
    again[..., :3] = sprite[..., :3] * 3 + 7  # modulo 256, where odd factors can be undone
    return again


def moved(sprite: Pixels) -> Pixels:
    return np.pad(sprite, ((3, 0), (1, 5), (0, 0)))


@pytest.mark.parametrize("style", [Style.SHADED, Style.BLACK_OUTLINE, Style.DITHERED])
@pytest.mark.parametrize("seed", [CLEAN_SEED, 5, 6])
def test_a_clean_set_has_no_finding(style: Style, seed: int) -> None:
    clean = sample_sprites(style, 80, seed)
    assert lint_set(clean, dict.fromkeys(clean, NativeScale(4, (0, 0), 1.0, True))) == []


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("duplicate", lambda s: s.copy()),
        ("shifted_duplicate", moved),
        ("mirrored_duplicate", lambda s: s[:, ::-1]),
        ("mirrored_duplicate", lambda s: s[::-1]),
        ("mirrored_duplicate", lambda s: moved(s[::-1, ::-1])),
        ("palette_swap", recoloured),
        ("palette_swap", lambda s: moved(recoloured(s)[:, ::-1])),
        ("near_duplicate", lambda s: changed(s, 1)),
        ("near_duplicate", lambda s: changed(s, 3)),
        ("near_duplicate", lambda s: moved(changed(s, 3))[:, ::-1]),
    ],
)
@pytest.mark.parametrize("original", ["s007.png", "s042.png"])
def test_a_planted_repetition_is_found_and_names_its_original(clean: Sprites, kind: str, plant, original: str) -> None:
    findings = find_duplicates({**clean, "z.png": plant(clean[original])})
    assert kinds(findings) == [(kind, "z.png")]
    assert original in findings[0].message


def test_hidden_colour_and_background_do_not_hide_a_repetition(clean: Sprites) -> None:
    first = clean["s007.png"]
    loud, opaque = first.copy(), first.copy()
    loud[first[..., 3] == 0] = (255, 0, 255, 0)
    opaque[first[..., 3] == 0] = (9, 9, 9, 255)
    assert kinds(find_duplicates({"a": first, "b": loud})) == [("duplicate", "b")]
    assert kinds(find_duplicates({"a": first, "b": opaque})) == [("palette_swap", "b")]


def test_flat_tiles_of_other_colours_are_not_palette_swaps() -> None:
    tiles = {f"{v}": np.full((16, 16, 4), (v, v, v, 255), np.uint8) for v in (10, 90, 200)}
    assert find_duplicates(tiles) == []


def test_an_empty_sprite_is_no_near_duplicate(clean: Sprites) -> None:
    assert find_duplicates({**clean, "z": np.zeros((16, 16, 4), np.uint8)}) == []


def test_many_copies_are_each_reported_once(clean: Sprites) -> None:
    copies = {f"z{n}": clean["s010.png"] for n in range(40)}
    assert kinds(find_duplicates({**clean, **copies})) == [("duplicate", name) for name in copies]


def test_every_near_duplicate_that_comparing_all_pairs_finds_is_found() -> None:
    drawn = sample_sprites(Style.BLACK_OUTLINE, 40, 5)
    rng = np.random.default_rng(1)
    for number, sprite in enumerate(list(drawn.values())):
        few = max(1, int((sprite[..., 3] > 0).sum() * 0.03))
        drawn[f"near{number:02d}"] = moved(changed(sprite, int(rng.integers(1, few + 1))))
    found = {f.file for f in find_duplicates(drawn) if f.kind == "near_duplicate"}
    contents = {name: content_of(sprite) for name, sprite in drawn.items()}
    expected = {
        f"near{n:02d}" for n in range(40) if 0 < num_different(contents[f"s{n:03d}.png"], contents[f"near{n:02d}"]) <= 2
    }
    assert len(expected) > 10
    assert expected <= found


def test_the_demo_set_repeats_itself_only_where_it_really_does() -> None:
    """Four greens show nine colours, so a few of its sixty sprites are drawn alike."""
    drawn = {f"{n:02d}": np.dstack([np.asarray(i), np.full((16, 16), 255, np.uint8)]) for n, (i, _) in
             enumerate(draw_demo_set())}  # fmt: skip
    findings = lint_set(drawn)
    most = {"duplicate": 0, "shifted_duplicate": 0, "near_duplicate": 5}
    assert 0 < len(findings) <= 5
    for finding in findings:
        (other,) = re.findall(r"\b\d\d\b", finding.message)[:1]
        different = num_different(content_of(drawn[other]), content_of(drawn[finding.file]))
        assert different <= most[finding.kind]


def test_strangers_stand_out_by_what_makes_them_strange(clean: Sprites) -> None:
    rng = np.random.default_rng(0)
    flat = next(iter(sample_sprites(Style.BLACK_OUTLINE, 1, 9).values()))
    noise = np.dstack([rng.integers(0, 255, (16, 16, 3), np.uint8), np.full((16, 16), 255, np.uint8)])
    boss = clean["s001.png"].repeat(8, axis=0).repeat(8, axis=1)
    boss[::2, ::3, :3] //= 2  # detail of its own, so that it is large and not only enlarged
    for name, stranger, kind in (("flat", flat, "style"), ("noise", noise, "style"), ("boss", boss, "size")):
        findings = [f for f in lint_set({**clean, name: stranger}) if f.file == name]
        assert [f.kind for f in findings] == [f"{kind}_outlier"], name


def test_a_foreign_palette_stands_out() -> None:
    greens = {f"{n:02d}": cut_out(np.asarray(image)) for n, (image, _) in enumerate(draw_demo_set())}
    blue = greens["07"].copy()
    blue[..., :3] = blue[..., [2, 0, 1]]
    findings = [f for f in lint_set({**greens, "blue": blue}) if f.file == "blue"]
    assert {f.kind for f in findings} == {"palette_swap", "palette_outlier"}


@pytest.mark.parametrize("other", [Style.LINE_ART, Style.LIGHT_ON_DARK, Style.BLACK_OUTLINE])
@pytest.mark.parametrize("share", [15, 40])
def test_two_styles_are_proposed_as_two_sets(clean: Sprites, other: Style, share: int) -> None:
    strangers = sample_sprites(other, share, 8, prefix="t")
    found = [f for f in lint_set({**dict(list(clean.items())[:50]), **strangers}) if f.kind == "two_styles"]
    assert len(found) == 1
    assert (found[0].file, found[0].severity) == ("", Severity.warning)
    second = found[0].message.rpartition("files: ")[2].split(", ")
    assert len(set(second) ^ set(strangers)) <= 4


def test_two_palettes_are_proposed_as_two_sets() -> None:
    greens = [cut_out(np.asarray(image)) for image, _ in draw_demo_set()]
    blues = {f"b{n:02d}": s[..., [2, 0, 1, 3]] for n, s in enumerate(greens[30:])}
    findings = lint_set({**{f"a{n:02d}": s for n, s in enumerate(greens[:30])}, **blues})
    (proposal,) = [f for f in findings if f.kind == "two_styles"]
    assert "two palettes that share hardly a colour" in proposal.message
    assert {name[0] for name in proposal.message.rpartition("files: ")[2].split(", ")} in ({"a"}, {"b"})


def test_mixed_scales_name_the_few() -> None:
    scales = {f"{n}": NativeScale(4, (0, 0), 1.0, True) for n in range(20)}
    assert find_mixed_scales(scales) == []
    odd = {"odd": NativeScale(3, (1, 1), 0.9, False), "unsure": NativeScale(2, (0, 0), 0.2, False)}
    (finding,) = find_mixed_scales({**scales, **odd})
    assert (finding.kind, finding.file) == ("mixed_scale", "odd")
    assert "enlarged 3 times, 20 of 21 files enlarged 4 times" in finding.message


@pytest.mark.parametrize(("number", "expected"), [(50, None), (49, "style will be learnt"), (12, "repeat these very")])
def test_a_small_set_says_what_to_expect(number: int, expected: str | None) -> None:
    findings = find_few(number)
    assert [expected in f.message for f in findings if expected] == ([True] if expected else [])
    assert len(findings) == (expected is not None)


def test_the_advised_steps_show_every_sprite_often_enough() -> None:
    advice = passes_advice(120, sprites_per_step=7)
    assert advice.fewest_steps * 7 >= 50 * 120 > (advice.fewest_steps - 1) * 7
    assert advice.most_steps * 7 >= 100 * 120 > (advice.most_steps - 1) * 7
    assert steps_advice(60) == (
        "to show each sprite 50 to 100 times takes 375 to 750 steps with the embedded base (8 sprites a step), 1,500 "
        "to 3,000 steps with model=sdxl (2 sprites a step); steps=auto counts frames and recolours of one subject "
        "once, so it may take fewer"
    )
    batches = {"the embedded base": compose().trainer.batch_size, "model=sdxl": compose("model=sdxl").sprites_a_step}
    assert batches == USUAL_BATCHES


def test_an_empty_set_has_no_style() -> None:
    assert kinds(lint_set({})) == [("few_sprites", "")]


@pytest.mark.skipif(not DCSS.is_dir(), reason="the real sprites of ../shared/data are not here")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("items", {"palette_swap": 6}),
        ("monsters", {"style_outlier": 3, "palette_outlier": 1}),  # ghosts without an outline, a shadow
    ],
)
def test_a_real_set_has_few_findings(folder: str, expected: dict[str, int]) -> None:
    sprites = {file.name: read_sprite(file) for file in sorted((DCSS / folder).glob("*.png"))}
    found = [f.kind for f in lint_set(sprites)]
    assert {kind: found.count(kind) for kind in found} == expected


def test_frames_of_one_animation_may_repeat_one_another(clean: Sprites) -> None:
    """And are still found where they repeat something else."""
    name, sprite = next(iter(clean.items()))
    moved, mirrored, spotted = np.pad(sprite, ((1, 0), (0, 0), (0, 0))), sprite[:, ::-1], sprite.copy()
    y, x = np.argwhere(sprite[..., 3] > 0)[0]
    spotted[y, x, :3] ^= 128
    frames = {"walk_0": sprite, "walk_1": sprite, "walk_2": moved, "walk_3": mirrored, "walk_4": spotted}
    others = {key: pixels for key, pixels in clean.items() if key != name}
    animations = dict.fromkeys(frames, "hero")
    assert find_duplicates({**others, **frames}, animations) == []
    assert len(find_duplicates({**others, **frames})) == 4
    found = find_duplicates({**clean, **frames}, animations)
    assert [f.file for f in found] == list(frames)
    assert all(name in f.message for f in found)
    apart = {**animations, "walk_1": "another"}
    assert kinds(find_duplicates({**others, **frames}, apart)) == [("duplicate", "walk_1")]


def test_an_animation_in_other_colours_is_told_once(clean: Sprites) -> None:
    originals = list(clean.values())[:3]
    recoloured = [np.dstack([255 - sprite[..., :3] // 2, sprite[..., 3]]) for sprite in originals]
    first, second = ({f"{hero}_{n}": s for n, s in enumerate(of)} for hero, of in (("a", originals), ("b", recoloured)))
    animations = {name: name[0] for name in (*first, *second)}
    assert kinds(find_duplicates({**first, **second}, animations)) == [("palette_swap", "b_0")]
    assert kinds(find_duplicates({**first, **second})) == [("palette_swap", name) for name in second]
