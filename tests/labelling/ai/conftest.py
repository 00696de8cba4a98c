"""What the tests of the AI labeller share: a model at hand, and a labeller that does not wait for long."""

from __future__ import annotations

from pathlib import Path

import pytest
from models import Model

from prefrl.labelling.ai import backoff
from prefrl.labelling.ai.labeller import label_with_ai


@pytest.fixture
def model():
    made = Model()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST", 0.01)


@pytest.fixture
def label(tmp_path: Path, model: Model):
    """Lets the model label a run, tmp_path/run if none is given. Settings on top of quick ones are given by keyword."""

    def work(folder: Path = tmp_path / "run", **settings):
        given = {"model": "eye-1", "endpoint": model.url, "patience": 300.0, "timeout": 300.0, "frames": 2, **settings}
        return label_with_ai(folder, quiet=True, **given)

    return work
