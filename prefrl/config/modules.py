"""Import of the user's own modules, only when asked: names in files, such as a stranger's run folder, import nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from prefrl.core.errors import UserError


def import_modules(names: Iterable[str], given_by: str = "--import") -> None:
    """Import modules, installed or of the current folder, which register environments, agents and other parts."""
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as fault:
            raise UserError(f"{given_by} {name}: {fault}; install it, or go to the folder that holds it") from fault
