"""What the tests of labelling share: a run's folder and a server for it."""

from pathlib import Path

import pytest
from serving import Serving, make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with six open questions whose clips are drawn."""
    make_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def serve(run: Path):
    """Starts a server in this process. Options are those of Shared; access: those of Access."""
    started = []

    def start(folder: Path = run, **options) -> Serving:
        started.append(Serving(folder, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()
