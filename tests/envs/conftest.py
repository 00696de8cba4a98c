"""Choose how MuJoCo draws before anything imports it: without a screen, EGL or OSMesa, whichever is installed."""

import ctypes.util
import os

import pytest

OFFSCREEN = {"egl": "EGL", "osmesa": "OSMesa"}  # MUJOCO_GL -> the library it needs

if "MUJOCO_GL" not in os.environ and not os.environ.get("DISPLAY"):
    for backend, library in OFFSCREEN.items():
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            break


@pytest.fixture
def drawing_library():
    """Skip where MuJoCo has nothing to draw with."""
    if not any(ctypes.util.find_library(library) for library in (*OFFSCREEN.values(), "GL")):
        pytest.skip("no OpenGL library: install libosmesa6, or libegl1 with libgl1-mesa-dri")
