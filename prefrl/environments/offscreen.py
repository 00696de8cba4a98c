"""Offscreen rendering: choose MuJoCo's backend before anything imports MuJoCo."""

from __future__ import annotations

import ctypes
import os
import sys

BACKENDS = {"egl": ("libEGL.so.1", "libOpenGL.so.0"), "osmesa": ("libOSMesa.so.8",)}
"""Values of MUJOCO_GL and the libraries that each takes, the faster one first."""

HEADLESS = (
    "on a machine without a screen MuJoCo draws with MUJOCO_GL=egl (Debian packages libegl1 libopengl0 libgl1-mesa-dri)"
    " or MUJOCO_GL=osmesa (package libosmesa6), set before Python starts"
)


def draw_without_a_screen() -> None:
    """Set what MuJoCo and pygame look for, unless there is a screen or the user has set it."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        backend = next(filter(_installed, BACKENDS), None)
        if "MUJOCO_GL" not in os.environ and backend:  # naming a missing one would break the import of MuJoCo
            os.environ["MUJOCO_GL"] = backend


def _installed(backend: str) -> bool:
    try:
        for library in BACKENDS[backend]:
            ctypes.CDLL(library)
    except OSError:
        return False
    return True
