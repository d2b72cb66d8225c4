"""Captions of a folder of sprites: written by a model, checked, edited by hand, or changed in bulk."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from spritelora.config.commands.caption import CaptionConfig, CaptionMode
from spritelora.config.train.hardware_keys import Device
from spritelora.errors import ConfigError, DatasetError
from spritelora.long_work import going_on
from spritelora.process import quick_imports
from spritelora.shown import counted
from spritelora.sprites.checks.caption_lint import lint_captions, told_once
from spritelora.sprites.checks.caption_terms import VARIANTS
from spritelora.sprites.findings import Finding, Severity
from spritelora.sprites.folder.caption_files import read_set, read_set_to_mend, side_car
from spritelora.sprites.folder.groups import animation_of
from spritelora.sprites.folder.sources import Source, refuse
from spritelora.sprites.names import printable

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Lint = Callable[[Mapping[str, str | None]], list[Finding]]


def caption(config: CaptionConfig, words: Sequence[str] = ()) -> None:
    """Write, check, edit or change captions, as the mode says. `words`: of the command line."""
    folder = Path(config.data.path)
    check_replace_keys(config)
    variants = [*VARIANTS, *(_variant_group(text) for text in config.variants)]
    if config.mode is CaptionMode.caption:
        write_missing(config, folder, read_set(folder), words)
    elif config.mode is CaptionMode.validate:
        check(folder, read_set(folder), make_lint(config, variants))
    elif config.mode is CaptionMode.replace:
        from spritelora.commands.caption.replace_captions import bulk_change_of, replace_captions

        replace_captions(folder, bulk_change_of(config), read_set(folder), config.dry_run)
    elif config.editor:
        from spritelora.commands.caption.edit_captions import edit_as_text

        edit_as_text(folder, read_set(folder))
    else:
        from spritelora.commands.caption.edit_captions import edit_on_page

        read_set_to_mend(folder)  # what is wrong with it is said before the page opens
        edit_on_page(folder, make_lint(config, variants), config.port, config.browser)


def check_replace_keys(config: CaptionConfig) -> None:
    """Raise ConfigError where keys of mode=replace are given without it: another mode would pass them over."""
    texts = {"find": config.find, "put": config.put, "remove": config.remove, "add": config.add}
    flags = {"pattern": config.pattern, "add_first": config.add_first, "dry_run": config.dry_run}
    given = [*(name for name, text in texts.items() if text is not None), *(name for name in flags if flags[name])]
    if given and config.mode is not CaptionMode.replace:
        raise ConfigError(f"{', '.join(given)} belongs to mode=replace: add it, or leave out {', '.join(given)}")


def write_missing(config: CaptionConfig, folder: Path, sources: list[Source], words: Sequence[str]) -> None:
    """Let the captioner write the captions that are not there, or all where told to.

    Raises DatasetError at the end that names the sprites left without one.
    """
    from spritelora.captioning.find import find_captioner
    from spritelora.captioning.write import Surround, choose_wanted, write_captions

    wanted = choose_wanted(sources, config.overwrite)
    log.info("%s: %s, %d to caption", folder, counted(len(sources), "sprite"), len(wanted))
    for line in reasons_left(sources, {item.source.name for item in wanted}, config.overwrite):
        log.info("%s", line)
    if not wanted:
        log.info("nothing to do")
        return
    place = find_captioner(config.captioner)

    with quick_imports():  # after all that can be checked without them
        import torch

        from spritelora.captioning.captioner import Answer, load_captioner

    answer = Answer(config.prompt, config.max_tokens, config.num_beams)
    captioner = load_captioner(place, _device(config.device, torch.cuda.is_available()), answer)
    surround = Surround(config.trigger, config.prefix, config.suffix)
    with nullcontext() if config.overwrite else going_on("caption", words):  # overwriting begins anew
        problems = write_captions(wanted, captioner, surround, config.batch_size)
    written = counted(len(wanted) - len(problems), "caption")
    log.info("%s written; read them through: mode=validate, then mode=edit", written)
    refuse(folder, problems)


def reasons_left(sources: Sequence[Source], wanted: Container[str], overwrite: bool) -> list[str]:
    """Why sprites are not captioned, a line for each reason with their number."""
    left = [source for source in sources if source.name not in wanted]
    unread = sorted({source.unread for source in left if source.unread})
    others = [source for source in left if not source.unread]
    num_fixed = sum(side_car(source) is None for source in others)
    reasons = {
        f"have a caption in {', '.join(map(printable, unread[:3]))}, it seems, which is not read; bring it to "
        f"metadata.csv (columns file_name and text), or overwrite=true": len(left) - len(others),
        "have a caption in a file that is never changed (metadata.jsonl, metadata.csv, .caption)": num_fixed,
        "have a caption; overwrite=true writes it anew": 0 if overwrite else len(others) - num_fixed,
    }
    return [f"{count} of {len(sources)} sprites {reason}" for reason, count in reasons.items() if count]


def check(folder: Path, sources: list[Source], lint: Lint) -> None:
    """Print what is wrong with the captions, file by file. Raises DatasetError where a sprite has none."""
    findings = lint({source.name: source.caption for source in sources})
    sys.stdout.write(report(findings, len(sources)))
    sys.stdout.flush()
    errors = sum(finding.severity is Severity.error for finding in findings)
    if errors:
        raise DatasetError(
            f"{folder}: {errors} of {len(sources)} sprites have no caption; write them with mode=edit, or let a model: "
            f"mode=caption"
        )


def report(findings: list[Finding], num_sprites: int) -> str:
    """Findings under the name of their file, then how many there are of each kind."""
    lines: list[str] = []
    for file, group in groupby(findings, key=lambda finding: finding.file):
        lines.append(printable(file))
        lines += [f"  {f.severity.value}: {printable(f.message)} [{f.kind}]" for f in group]
    counts = Counter(finding.kind for finding in findings)
    clean = num_sprites - len({finding.file for finding in findings})
    lines.append(f"{counted(num_sprites, 'sprite')}, {clean} of them without a finding")
    lines += [f"{count:6d} {kind}" for kind, count in counts.most_common()]
    return "\n".join(lines) + "\n"


def make_lint(config: CaptionConfig, variants: list[tuple[str, ...]]) -> Lint:
    """The check of captions as configured, with the tokenizer of the model loaded."""
    from spritelora.captioning.tokens import TokenCounter, find_tokenizer
    from spritelora.embedded.location import embedded_base

    if config.model.path is None:
        name = "the embedded base's tokenizer (rare words have more tokens in it than in SDXL's own; see model.path)"
        counter = TokenCounter(embedded_base(), name)
    else:
        counter = TokenCounter(find_tokenizer(config.model.path), f"the tokenizer of {config.model.path}")
    return lambda captions: lint_captions(
        told_once(captions, {name: animation_of(name) for name in captions}),
        counter.count,
        counter.cut,
        flips=config.flips,
        matte=config.matte,
        tokenizer=counter.name,
        style_words=[config.trigger, *config.style_words],
        variants=variants,
    )


def _variant_group(text: str) -> tuple[str, ...]:
    terms = tuple(term.strip() for term in text.split("/"))
    if len(terms) < 2 or not all(terms):
        raise ConfigError(f"variants: '{text}' is no group of terms; write them with / between: goblin/orc")
    return terms


def _device(asked: Device, has_cuda: bool) -> "torch.device":
    import torch

    if asked is Device.cuda and not has_cuda:
        raise ConfigError("device=cuda: torch finds no CUDA device here; leave device out, or device=cpu")
    return torch.device("cuda" if has_cuda and asked is not Device.cpu else "cpu")
