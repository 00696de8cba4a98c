import numpy as np
import pytest

from prefrl.environments.making import env_maker
from prefrl.evaluation.learned_reward import compare
from prefrl.evaluation.returns import RandomPolicy


class Affine:
    """Knows the true reward up to scale and shift."""

    def __init__(self, scale: float):
        self.scale = scale

    def rewards(self, rollout):
        cos, sin, speed = np.moveaxis(rollout.observations.astype(float), -1, 0)
        torque = rollout.actions[..., 0].clip(-2, 2)
        return -self.scale * (np.arctan2(sin, cos) ** 2 + 0.1 * speed**2 + 0.001 * torque**2) + 3


@pytest.fixture(scope="module")
def known():
    make_env = env_maker("Pendulum-v1")
    policy = RandomPolicy(make_env().action_space)
    return {scale: compare(Affine(scale), policy, make_env, "Pendulum-v1", 0.9) for scale in (2.0, -1.0)}


def test_the_true_reward_in_other_units_is_no_distance_away(known):
    assert known[2.0]["step_pearson"] == pytest.approx(1) and known[2.0]["epic"] == pytest.approx(0, abs=0.01)


def test_the_opposite_is_as_far_as_can_be(known):
    assert known[-1.0]["step_pearson"] == pytest.approx(-1) and known[-1.0]["epic"] == pytest.approx(1, abs=0.01)


def test_a_run_reports_it(short):
    import json

    result = short()
    found = json.loads((result.folder / "result.json").read_text())["reward_model"]
    assert {"accuracy", "f1", "brier", "calibration_error", "step_pearson", "segment_spearman", "epic"} <= set(found)
