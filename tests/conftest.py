"""What all tests share: chances that are the same in every run, no skipping in CI, and short runs of real environments."""

import ctypes.util
import itertools
import os
import random
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from prefrl.environments.offscreen import draw_without_a_screen

draw_without_a_screen()
# in the background of a script SIGINT is ignored, and programs under test would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
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


@pytest.fixture(autouse=True)
def same_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who draws without a seed draws what the same test has drawn there before; asked twice, they differ all the same."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    seeds, rng, of_gym = itertools.count(2**20), np.random.default_rng, gymnasium.utils.seeding.np_random
    monkeypatch.setattr(np.random, "default_rng", lambda seed=None: rng(next(seeds) if seed is None else seed))
    unseeded = lambda seed=None: of_gym(next(seeds) if seed is None else seed)  # noqa: E731
    monkeypatch.setattr(gymnasium.utils.seeding, "np_random", unseeded)


SOME_MACHINES_ONLY = "there is a screen or a GPU"
"""Why a test may be skipped wherever it is run."""


def _prove(report: Any) -> Any:
    """In CI, where everything is installed, what skips itself fails: it would prove nothing."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if SOME_MACHINES_ONLY not in why:
            report.outcome, report.longrepr = "failed", f"in CI (CI={os.environ['CI']}) no test may be skipped: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _prove((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _prove((yield))


@pytest.fixture
def short(tmp_path: Path):
    """Trains a short run; settings on top of SHORT are given by keyword."""
    from prefrl.runs.api import train

    def run(env: Any = "Pendulum-v1", folder: str = "run", **settings: Any):
        return train(env, folder=tmp_path / folder, quiet=True, **{**SHORT, **settings})

    return run


@pytest.fixture
def drawing_library() -> None:
    """Skip where MuJoCo has nothing to draw with."""
    if not any(map(ctypes.util.find_library, ("EGL", "OSMesa", "GL"))):
        pytest.skip("no OpenGL library: install libosmesa6, or libegl1 with libgl1-mesa-dri")
