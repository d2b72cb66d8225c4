"""Overrides, the `key=value` texts of a command line: read, found, replaced and quoted."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from spritelora.config.fields import declared_path
from spritelora.config.free_text import SEVERAL_QUOTED, quote, quoted_list, split_entries, unquote
from spritelora.config.places import expand_home
from spritelora.errors import ConfigError

NEEDS_NO_QUOTES = re.compile(r"(?!null$)[^\s'\"\[\](){},$\\](?:[^'\"\[\](){},$\\]*[^\s'\"\[\](){},$\\])?")
"""A text that means itself in a list too."""


class Override(str):
    """One override. It is the text itself, for Hydra, records and other processes take it as it is."""

    __slots__ = ()

    @property
    def sign(self) -> str:
        """Hydra's `+`, `++` or `~` before the key."""
        return self[: len(self) - len(self.lstrip("+~"))]

    @property
    def key(self) -> str:
        """The key or group that is set."""
        return self.partition("=")[0].lstrip("+~")

    @property
    def value(self) -> str | None:
        """The value as typed; None where there is no `=`."""
        _, equals, value = self.partition("=")
        return value if equals else None

    @property
    def text(self) -> str:
        """The value without the quotes that enclose it; empty where there is none."""
        return unquote(self.value or "")

    @property
    def is_hydras(self) -> bool:
        """Whether it sets a part of Hydra's own."""
        return self.key.startswith(("hydra.", "hydra/"))

    @property
    def plain(self) -> "Override":
        """The same as a person types it: without the quotes that `quoted` puts around what needs none."""
        value, name = self.value or "", self.sign + self.key
        is_list = value.startswith("[") and value.endswith("]")
        texts = [unquote(entry) for entry in (split_entries(value[1:-1]) if is_list else [value])]
        if not all(map(NEEDS_NO_QUOTES.fullmatch, texts)):
            return self
        shown = f"[{','.join(texts)}]" if is_list else texts[0]
        is_same = value == (quoted_list(name, shown) if is_list else quote(shown))
        return Override(f"{name}={shown}") if is_same else self

    def quoted(self, text_keys: Mapping[str, bool]) -> "Override":
        """With the value of a free-text key in quotes, so that commas, equals signs and spaces mean themselves.

        `text_keys`: key to whether it holds a list. A text that quotes enclose is left to Hydra's grammar, and so are
        several with commas between, which are a sweep; `null` unsets the key. A list is what one pair of brackets
        encloses from the first character to the last: its commas separate entries, but for those in quotes and in
        brackets of an entry. Raises ConfigError for a list whose bracket is not closed.
        """
        value, name = self.value, self.sign + self.key
        is_list = text_keys.get(declared_path(self.key, text_keys))
        if value in (None, "", "null") or is_list is None or self.sign == "~":
            return self
        if is_list:
            return Override(f"{name}={quoted_list(name, value)}")
        return self if SEVERAL_QUOTED.fullmatch(value) else Override(f"{name}={quote(value)}")


class Overrides(list[Override]):
    """Overrides in the order typed; of one key the last counts."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        super().__init__(map(Override, texts))

    @property
    def by_key(self) -> dict[str, Override]:
        """The last override of each key."""
        return {override.key: override for override in self}

    def text(self, key: str) -> str | None:
        """The value of a key without the quotes that enclose it; None where it is not set."""
        override = self.by_key.get(key)
        return None if override is None else override.text

    def path(self, key: str) -> Path | None:
        """The path that a key is given; None where it is unset.

        For what is read before Hydra composes. Raises ConfigError for a home folder that is not known.
        """
        text = self.text(key)
        if text in (None, "", "null"):
            return None
        try:
            return Path(expand_home(text))
        except ConfigError as error:
            raise ConfigError(f"{key}={error}") from error

    def without(self, *keys: str) -> Self:
        """Those of other keys."""
        return type(self)(o for o in self if o.key not in keys)

    def with_text(self, key: str, text: str) -> Self:
        """With a key set to exactly this text, at the end."""
        return type(self)([*self.without(key), f"{key}={quote(text)}"])

    def quoted(self, text_keys: Mapping[str, bool]) -> Self:
        """With the values of free-text keys in quotes, as `Override.quoted`."""
        return type(self)(o.quoted(text_keys) for o in self)
