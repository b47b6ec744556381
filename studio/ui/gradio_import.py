"""Importing Gradio without the type stubs that it writes meanwhile: a third to a half of the time of the import.

Gradio reads the source of each of its eighty components whenever it is imported, makes a .pyi file of it, and compares
that with the one that lies beside it. Editors gain by these files; a program that runs does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE, FUNCTION = "gradio.component_meta", "create_or_modify_pyi"


def skip_stubs() -> None:
    """From now on `import gradio` writes no stubs. Does nothing where Gradio has been imported already."""
    if MODULE not in sys.modules and not any(isinstance(finder, StubFreeFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, StubFreeFinder())


class StubFreeFinder(MetaPathFinder):
    """Finds the one module that writes the stubs, and has it loaded without that."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = StubFreeLoader(spec.loader)
        return spec


class StubFreeLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        setattr(module, FUNCTION, lambda component_class, class_name, events: None)
