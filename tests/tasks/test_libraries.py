"""What is done before the libraries beneath are imported."""

from spritelora.tasks.libraries import compile_at_first_call


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
