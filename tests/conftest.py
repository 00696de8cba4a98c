"""What all tests share: short runs of real environments."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from prefrl.environments.offscreen import draw_without_a_screen

draw_without_a_screen()

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402
from short import SHORT  # noqa: E402


@pytest.fixture
def short(tmp_path: Path):
    """Trains a short run; settings on top of SHORT are given by keyword."""
    from prefrl.runs.api import train

    def run(env: Any = "Pendulum-v1", folder: str = "run", **settings: Any):
        return train(env, folder=tmp_path / folder, quiet=True, **{**SHORT, **settings})

    return run
