"""What tests of the tasks share. How MuJoCo draws was chosen in the conftest above."""

import ctypes.util

import pytest


@pytest.fixture
def drawing_library():
    """Skip where MuJoCo has nothing to draw with."""
    if not any(ctypes.util.find_library(library) for library in ("EGL", "OSMesa", "GL")):
        pytest.skip("no OpenGL library: install libosmesa6, or libegl1 with libgl1-mesa-dri")
