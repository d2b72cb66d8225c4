"""What is done before the libraries beneath are imported."""

import gc
import sys

import pytest
import torch  # noqa: F401  # it is there in every test

from spritelora.process import compile_at_first_call, quick_imports


def test_what_is_imported_is_left_to_the_end_by_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    with quick_imports():  # torch is there: the objects of an earlier job must be collected
        assert gc.isenabled()
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    frozen = gc.get_freeze_count()
    with quick_imports():
        assert not gc.isenabled()
        with quick_imports():
            pass
        assert not gc.isenabled(), "the outer one ends it"
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


def test_a_function_marked_for_the_compiler_is_compiled_when_it_is_called_and_once() -> None:
    compiled: list[tuple[str, dict]] = []

    def compiler(function, **options):
        compiled.append((function.__name__, options))
        return lambda *args: ("compiled", function(*args))

    late = compile_at_first_call(compiler)

    @late
    def double(x: int) -> int:
        return 2 * x

    @late(dynamic=False)
    def halve(x: int) -> float:
        return x / 2

    assert not compiled
    assert double.__name__ == "double"
    assert [double(2), double(3), halve(3)] == [("compiled", 4), ("compiled", 6), ("compiled", 1.5)]
    assert compiled == [("double", {}), ("halve", {"dynamic": False})]
