"""A label store for one test."""

import pytest

from prefrl.store.store import LabelStore


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path) as opened:
        yield opened
