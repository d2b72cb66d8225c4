"""Python as our own modules find it on Windows; on PYTHONPATH, it is imported by every process that starts.

Libraries go on to have this system's own: they know what to do elsewhere. `posix_only.py` lists what is missing there.
"""

import builtins
import multiprocessing
from types import ModuleType

from posix_only import ABSENT, MISSING

OURS = ("spritelora", "hydra_plugins.spritelora", "__main__", "__mp_main__")


class Poorer(ModuleType):
    """A module without some of its names."""

    def __init__(self, real: ModuleType, missing: set[str]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(real=real, missing=missing)

    def __getattr__(self, name: str) -> object:
        if name in self.missing:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}' elsewhere")
        return getattr(self.real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.real, name, value)


def import_elsewhere(name, globals=None, locals=None, fromlist=(), level=0):
    """`import` for our modules: what is absent is refused, what is poorer is given so."""
    importer = str((globals or {}).get("__name__", ""))
    if level or not importer.startswith(OURS):
        return real_import(name, globals, locals, fromlist, level)
    if name.partition(".")[0] in ABSENT:
        raise ModuleNotFoundError(f"No module named '{name}' (elsewhere, for {importer})", name=name)
    module = real_import(name, globals, locals, fromlist, level)
    return poorer.get(name, module)


real_import = builtins.__import__
poorer = {name: Poorer(real_import(name), missing) for name, missing in MISSING.items()}
builtins.__import__ = import_elsewhere
multiprocessing.set_start_method("spawn")
