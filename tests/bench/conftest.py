"""A grid of runs that take a second each, and studies with numbers worked out by hand."""

from collections.abc import Callable
from typing import Any

import pytest
from short import SHORT

from prefrl.bench.study import Study

TINY: dict[str, Any] = {
    "environments": ["Pendulum-v1"],
    "budgets": [4],
    "controls": ["true"],
    "seeds": [0],
    "few_seeds": True,
    "evaluation": 200,
    "settings": {**SHORT, "steps": 1024, "record.checkpoints": 2, "agent.n_envs": 2, "agent.n_steps": 128},
}
del TINY["settings"]["questions.budget"]


def result(seed: int, earned: float) -> dict[str, Any]:
    return {
        "env": "e", "seed": seed, "source": "learned", "budget": 10, "asked": 10, "cpu_seconds": 2.0,
        "true_return": {"deterministic": earned, "stochastic": earned - 1}, "reward_model": {"accuracy": 0.9},
    }  # fmt: skip


@pytest.fixture
def make_study() -> Callable[..., Study]:
    """Returns by arm -> a study of one environment `e` whose random policy earns 0."""

    def make(name: str = "study", env: str = "e", floor: float = 0.0, **arms: list[float]) -> Study:
        table = {arm.replace("_", " "): [result(s, v) for s, v in enumerate(values)] for arm, values in arms.items()}
        about = {"command": "made by hand", "steps": 100, "code": "c", "python": "3", "packages": {"torch": "2"}}
        return Study(name, {env: table}, {env: floor}, {env: about})

    return make
