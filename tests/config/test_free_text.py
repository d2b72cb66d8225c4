"""Free text is taken literally, alone and in lists, whatever signs it has; only quotes and whole brackets are read."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from spritelora.config.free_text import quote, unquote
from spritelora.config.overrides import Overrides
from spritelora.errors import ConfigError

KEYS = {"text": False, "texts": True}


def read(override: str) -> object:
    """What Hydra reads; of a sweep, the value of each job."""
    parser = OverridesParser.create()
    (quoted,) = Overrides([override]).quoted(KEYS)
    parsed = parser.parse_override(quoted)
    if parsed.is_sweep_override():
        return tuple(_plain(parser.parse_override(f"x={v}").value()) for v in parsed.sweep_string_iterator())
    return _plain(parsed.value())


def _plain(value: object) -> object:
    return [str(v) for v in value] if isinstance(value, list) else str(value)


ODD = [
    "chevalier à l'épée", "a (b) c!", "50% #1; ~x", '剣, "x"', "a=b:c", "[SDXL] x.safetensors", r"\\server\art", "${x}",
]  # fmt: skip


@pytest.mark.parametrize("text", [*ODD, "[a, b]", "[a", "a]", "'tis", '"a" and "b"', "it's, isn't it", "[a],[b]"])
def test_a_text_means_itself(text: str) -> None:
    assert str(read(f"text={text}")).replace("\\${", "${") == text
    assert unquote(quote(text)) == text


@pytest.mark.parametrize(
    ("typed", "entries"),
    [
        ("[chevalier à l'épée,a (b) c!]", ["chevalier à l'épée", "a (b) c!"]),
        ("[a,b]", ["a", "b"]),
        (" [ a , b ] ", ["a", "b"]),
        ("[]", []),
        ("[ ]", []),
        ("[a,]", ["a", ""]),
        ("[,]", ["", ""]),
        ("a, b", ["a, b"]),
        ("l'épée", ["l'épée"]),
        ("[SDXL] x.safetensors", ["[SDXL] x.safetensors"]),
        ("[SDXL] x [v2]", ["[SDXL] x [v2]"]),
        ("[a][b]", ["[a][b]"]),
        ("x [SDXL]", ["x [SDXL]"]),
        ("'[SDXL]'", ["[SDXL]"]),
        ("[[SDXL] x.safetensors,y]", ["[SDXL] x.safetensors", "y"]),
        ("[[a,b] c,d]", ["[a,b] c", "d"]),
        ("""['a, b',"c ] d",e]""", ["a, b", "c ] d", "e"]),
        ("['tis,it's]", ["'tis", "it's"]),
        ("['a]", ["'a"]),
        (r"[C:\art\a,D:\b]", [r"C:\art\a", r"D:\b"]),
        ("[null,true,1e-3]", ["null", "true", "1e-3"]),
    ],
)
def test_a_list_is_what_brackets_enclose_and_its_entries_mean_themselves(typed: str, entries: list[str]) -> None:
    assert read(f"texts={typed}") == entries


def test_each_text_can_be_an_entry_in_quotes() -> None:
    assert [e.replace("\\${", "${") for e in read(f"texts=[{','.join(map(quote, ODD))}]")] == ODD  # type: ignore[attr-defined]


def test_several_lists_and_several_quoted_texts_are_a_sweep() -> None:
    assert read("texts=[l'épée],[b,c]") == (["l'épée"], ["b", "c"])
    assert read("texts='a','b, c'") == (["a"], ["b, c"])
    assert read("text='a','b, c'") == ("a", "b, c")


@pytest.mark.parametrize("typed", ["[a, b", "[", "[a],[b"])
def test_a_list_without_an_end_is_named(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"^texts=.*has no \] at its end; close it, or .* into quotes: texts='\["):
        Overrides([f"texts={typed}"]).quoted(KEYS)


def test_other_keys_and_null_are_left_to_the_grammar() -> None:
    typed = ["seed=1,2", "texts=null", "text=null", "+text=", "word", "optim.lr=choice(1,2)"]
    assert Overrides(typed).quoted(KEYS) == typed
    quoted = ["text='a, b'", "texts=['a','b']"]
    assert Overrides(quoted).quoted(KEYS) == quoted
