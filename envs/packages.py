"""Packages whose environments register themselves only once somebody imports them: which one an id belongs to."""

from __future__ import annotations

import importlib
from typing import NamedTuple


class Package(NamedTuple):
    """Where environments come from whose ids begin alike."""

    module: str  # imported first
    register: str  # a function of it that registers them; empty: importing it is enough
    extra: str  # pip install 'prefrl[extra]'


PACKAGES: dict[str, Package] = {
    "ALE/": Package("ale_py", "", "atari"),
    "MinAtar/": Package("minatar.gym", "register_envs", "minatar"),
    "MiniGrid-": Package("minigrid", "", "minigrid"),
    "BabyAI-": Package("minigrid", "", "minigrid"),
}


def package_of(env_id: str) -> Package | None:
    """The package that an id's environment comes from, if it is one of these."""
    return next((package for prefix, package in PACKAGES.items() if env_id.startswith(prefix)), None)


def register(env_id: str) -> None:
    """Make an id of these packages known to Gymnasium. Raises ImportError where the package is missing."""
    package = package_of(env_id)
    if package and package.module not in _done:
        module = importlib.import_module(package.module)
        if package.register:
            getattr(module, package.register)()
        _done.add(package.module)


_done: set[str] = set()
