"""What all tests share: how property tests are run, and short runs of real environments."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from prefrl.agents.offscreen import draw_without_a_screen  # noqa: E402

draw_without_a_screen()

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from short import SHORT  # noqa: E402

# One profile for all property tests. No test depends on speed: nothing has a deadline, and drawing may take its time.
# None depends on chance, nor on what an earlier run has left behind: examples are drawn from each test's own text, the
# same on every machine, and no file keeps those that failed. To look further, draw others, as often as you like:
#     pytest --hypothesis-profile=explore
settings.register_profile(
    "prefrl",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
    print_blob=True,
)
settings.register_profile("explore", settings.get_profile("prefrl"), derandomize=False)
settings.load_profile("prefrl")


@pytest.fixture
def short(tmp_path: Path):
    """Trains a short run; settings on top of SHORT are given by keyword."""
    from prefrl.api import train

    def run(env: Any = "Pendulum-v1", folder: str = "run", **settings: Any):
        return train(env, folder=tmp_path / folder, quiet=True, **{**SHORT, **settings})

    return run
