"""True returns of a policy in evaluation episodes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.type_aliases import PolicyPredictor

from prefrl.core.observations import Observations, count
from prefrl.environments.making import MakeEnv
from prefrl.environments.vector import make_venv

SEED = 1_000_003  # evaluation episodes are the same for all runs of an environment


@dataclass(frozen=True)
class Returns:
    """True returns of evaluation episodes."""

    episodes: list[float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.episodes))

    def __str__(self) -> str:
        return f"{self.mean:8.1f} ± {self.std / len(self.episodes) ** 0.5:.1f}"

    @property
    def std(self) -> float:
        return float(np.std(self.episodes))


class RandomPolicy:
    """Samples actions from the action space: the baseline of true returns."""

    def __init__(self, action_space: gymnasium.Space):
        self.space = action_space
        self.space.seed(SEED)

    def predict(self, observation: Observations, *_: object, **__: object) -> tuple[np.ndarray, None]:
        return np.array([self.space.sample() for _ in range(count(observation))]), None


LONGEST = 30_000  # steps; Atari's limit is 27,000. Without any limit a policy may stand still for ever


def true_returns(policy: PolicyPredictor, make_env: MakeEnv, episodes: int, deterministic: bool = True) -> Returns:
    """Play whole episodes of the true environment, the same ones every time; of endless ones LONGEST steps."""
    venv = make_venv(lambda: TimeLimit(make_env(), LONGEST), min(episodes, 10))
    venv.seed(SEED)
    returns, lengths = evaluate_policy(policy, venv, episodes, deterministic, return_episode_rewards=True, warn=False)
    venv.close()
    if cut := int(np.sum(np.array(lengths) >= LONGEST)):
        warnings.warn(
            f"{cut} of {episodes} evaluation episodes did not end in {LONGEST:,} steps, and count as they stood then;"
            " give the environment a limit (gymnasium.wrappers.TimeLimit)",
            stacklevel=2,
        )
    return Returns([float(value) for value in returns])  # type: ignore[union-attr]


def random_returns(make_env: MakeEnv, episodes: int) -> Returns:
    """True returns of a policy that acts at random, the baseline."""
    env = make_env()
    space = env.action_space
    env.close()
    return true_returns(RandomPolicy(space), make_env, episodes)
