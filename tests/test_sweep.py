"""A sweep keeps what has finished, whatever becomes of the rest."""

import pytest
from short import SHORT

from experiments.sweep import key, sweep
from prefrl.config import Config, update
from prefrl.errors import UserError


def test_a_run_that_fails_is_named_and_costs_no_other(tmp_path):
    good = update(Config(), {**SHORT, "steps": 512, "questions.budget": 4})
    bad = update(good, {"env": "Pendulum-v0"})
    with pytest.raises(UserError, match="1 of 2 runs failed, the others are kept; the first: Pendulum-v0, seed 0"):
        sweep([bad, good], tmp_path, workers=1)
    assert [file.name for file in tmp_path.glob("*")] == [f"{key(good)}.json"]
    [found] = sweep([good], tmp_path)  # not run again
    assert found["env"] == "Pendulum-v1" and found["asked"] == 4
