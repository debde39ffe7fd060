"""
Loading published source to be recorded: checked by SHA-256, with its float32 casts lifted if asked, and without the
packages it imports only to log, to plot or to download.
"""

import contextlib
import hashlib
import subprocess
import sys
import types

import numpy as np
import torch


def read_source(path, digest, source):
    """Text of one published file. A file with the same name and other contents must not pass unnoticed."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        sys.exit(f"make.py: {path.name} of {source}: expected SHA-256 {digest}, found {found}")
    return data.decode("utf-8")


def read_pinned(repository, commit, name, digest, source):
    """Text of one file at a commit of a clone, whatever the clone has checked out."""
    shown = subprocess.run(["git", "-C", repository, "show", f"{commit}:{name}"], capture_output=True)
    if shown.returncode != 0:
        sys.exit(f"make.py: {repository}: {shown.stderr.decode().strip()}")
    found = hashlib.sha256(shown.stdout).hexdigest()
    if found != digest:
        sys.exit(f"make.py: {name} of {source}: expected SHA-256 {digest}, found {found}")
    return shown.stdout.decode("utf-8")


def lift_casts(casts, name, source):
    """
    Makes the replacements (file, line, before, after) of one file. `before` must occur exactly once in the file, and
    begin at that line.
    """
    for file, line, before, after in casts:
        if file != name:
            continue
        parts = source.split(before)
        found = [1 + "".join(parts[: i + 1]).count("\n") for i in range(len(parts) - 1)]
        if found != [line]:
            sys.exit(f"make.py: {name}: expected {before!r} once, at line {line}; found at lines {found}")
        source = source.replace(before, after)
    return source


class Unused(types.ModuleType):
    """
    Stands in for a module that is imported but plays no part here: whatever is imported from it can be named, in an
    annotation for example, and raises when it is called.
    """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def called(cls, *args, **kwargs):
            raise AssertionError(f"{self.__name__}.{name} was called, though it stands for something unused")

        return type(name, (), {"__new__": called})


def load_modules(sources, stand_ins=()):
    """
    Runs module texts, in the order given, and returns the modules by name. Their imports find one another and the
    stand-ins; afterwards sys.modules is as before, so that both dtypes can live in one process.

    sources     name -> text; a name that has others below it must be given as a package, with text or None
    stand_ins   modules, by their own names
    """
    modules = {module.__name__: module for module in stand_ins}
    before = {name: sys.modules.get(name) for name in [*modules, *sources]}
    sys.modules.update(modules)
    try:
        for name, text in sources.items():
            module = types.ModuleType(name)
            if any(other.startswith(f"{name}.") for other in sources):
                module.__path__ = []  # a package whose modules are only those put in sys.modules here
                module.__package__ = name
            else:
                module.__package__ = name.rpartition(".")[0]
            sys.modules[name] = modules[name] = module
            if text is not None:
                exec(compile(text, name, "exec"), module.__dict__)
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
    return {name: modules[name] for name in sources}


class Dialect:
    """The published code in one dtype, and the default dtype it has to run under."""

    def __init__(self, dtype, load):
        self.name = str(dtype).removeprefix("torch.")
        self.dtype = dtype
        self.code = load(lift=dtype == torch.float64)

    @contextlib.contextmanager
    def running(self):
        torch.set_default_dtype(self.dtype)
        try:
            yield self.code
        finally:
            torch.set_default_dtype(torch.float32)

    def tensor(self, array):
        return torch.tensor(np.asarray(array), dtype=self.dtype)
