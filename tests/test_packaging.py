"""What is pinned can be had by everybody, and users install less than developers."""

import importlib.metadata
import re
import subprocess
import tomllib
from itertools import product
from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALL = ROOT / "docs" / "install.md"
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
SYSTEMS = [
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
]
ENVIRONMENTS = [
    {**system, "python_version": version, "python_full_version": f"{version}.0"}
    for system, version in product(SYSTEMS, ("3.11", "3.12", "3.13", "3.14"))
]


def pin_problem(line: str) -> str | None:
    """Why a machine that sees the public index alone cannot install a line of constraints.txt; None where it can."""
    try:
        pin = Requirement(line)
    except InvalidRequirement:
        return "no requirement, such as name==1.2"
    if pin.url is not None:
        return "a path or an address"
    if [s.operator for s in pin.specifier] != ["=="] or str(pin.specifier).endswith(".*"):
        return "no single version"
    return "a local version" if "+" in str(pin.specifier) else None


def asked_for(requirements: list[str]) -> set[str]:
    """Names of all packages that requirements bring on any system, as the packages installed here say of themselves."""
    waiting = [(Requirement(text), "") for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({**e, "extra": extra}) for e in ENVIRONMENTS):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in requirements_of(name)]
    return {name for name, _ in seen}


def requirements_of(name: str) -> list[str]:
    if name == PROJECT["name"]:
        return []  # `dev` names extras of this project, and all extras are asked for anyway
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []  # of another system


def requirements() -> list[str]:
    return [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]


def test_pins_are_of_the_public_index() -> None:
    assert {line: problem for line in PINS if (problem := pin_problem(line))} == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("torch==2.13.0+cpu", "local"),
        ("torch @ file:///opt/wheels/torch.whl", "path"),
        ("torch @ https://example.org/torch.whl", "path"),
        ("/opt/wheels/torch.whl", "requirement"),
        ("-e ../torch", "requirement"),
        ("--find-links /opt/wheels", "requirement"),
        ("torch>=2", "single version"),
        ("torch==2.*", "single version"),
        ("torch", "single version"),
        ("torch==2.13.0", None),
    ],
)
def test_what_the_public_index_lacks_is_no_pin(line: str, problem: str | None) -> None:
    told = pin_problem(line)
    assert told is None if problem is None else problem in str(told)


def test_requirements_are_of_the_public_index_too() -> None:
    asked = [Requirement(text) for text in requirements()]
    assert [str(r) for r in asked if r.url or any("+" in s.version for s in r.specifier)] == []


def test_what_is_asked_for_is_pinned_once_and_nothing_else() -> None:
    pinned = [canonicalize_name(Requirement(line).name) for line in PINS]
    assert len(pinned) == len(set(pinned))
    assert sorted(set(pinned) - asked_for(requirements())) == [], "pinned, and asked for by nothing"
    direct = {canonicalize_name(Requirement(text).name) for text in requirements()} - {PROJECT["name"]}
    assert sorted(direct - set(pinned)) == [], "asked for, and not pinned"


def test_pins_are_within_what_is_asked_for() -> None:
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)) for pin in map(Requirement, PINS)}
    for asked in map(Requirement, requirements()):
        if asked.name != PROJECT["name"]:
            pin: Specifier = versions[canonicalize_name(asked.name)]
            assert asked.specifier.contains(pin.version, prereleases=True), f"{asked} and {pin}"


def commands(target: str, environment: Path) -> list[str]:
    """What make would run of an environment as it is."""
    words = ["make", "--dry-run", target, f"VENV={environment}"]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if f"{environment}/bin/" in line]


def test_the_demo_installs_the_core_alone_and_the_tests_add_to_it(tmp_path: Path) -> None:
    install = f"{tmp_path}/bin/pip install -c constraints.txt -e"
    demo, tests = f"{tmp_path}/bin/python train.py", f"OMP_NUM_THREADS=1 {tmp_path}/bin/python -m pytest"
    run_tests = f'{tests} -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"'
    assert commands("demo", tmp_path) == [f"{install} .", demo]
    assert commands("test", tmp_path) == [f"{install} .", f"{install} '.[dev]'", run_tests]
    (tmp_path / ".core").touch()
    assert commands("demo", tmp_path) == [demo]
    assert commands("test", tmp_path) == [f"{install} '.[dev]'", run_tests]
    (tmp_path / ".dev").touch()
    assert commands("demo", tmp_path) == [demo]
    assert commands("test", tmp_path) == [run_tests]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_page_on_installing_says_the_same_without_make(target: str, tmp_path: Path) -> None:
    page = INSTALL.read_text(encoding="utf-8")
    for line in commands(target, tmp_path):
        assert ".venv\\Scripts\\" + line.partition(f"{tmp_path}/bin/")[2] in page


def test_the_page_on_installing_names_the_pinned_torch() -> None:
    named = re.findall(r"pip install --upgrade (torch==\S+)", INSTALL.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= set(PINS)
