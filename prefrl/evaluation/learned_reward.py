"""How close a learned reward is to the true one, over steps that it was not fitted to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor

from prefrl.core.rollout import Rollout
from prefrl.environments.making import MakeEnv
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.evaluation.returns import SEED, RandomPolicy
from prefrl.evaluation.reward_distance import TRUE_REWARDS, epic, reward_agreement

STEPS, N_ENVS = 250, 4  # of each of the two policies
COMPARED, SAMPLES = 500, 64  # transitions and resampled ones in the EPIC distance


def played(policy: PolicyPredictor, make_env: MakeEnv) -> Rollout:
    """A policy's rollout in new environments: (STEPS, N_ENVS)"""
    recorder = Recorder(make_venv(make_env, N_ENVS), STEPS, seed_at=lambda step: SEED)
    observations = recorder.reset()
    for _ in range(STEPS):
        actions, _ = policy.predict(observations, deterministic=True)
        observations = recorder.step(actions)[0]
    rollout = recorder.latest(STEPS)
    recorder.close()
    return rollout


def compare(reward_model: Any, policy: PolicyPredictor, make_env: MakeEnv, env: str, gamma: float) -> dict[str, float]:
    """Correlations with the true reward, and the EPIC distance where the true reward is known as a function.

    Compared over steps of which half are the final policy's and half a random policy's; figures hold for this coverage.
    """
    sample_env = make_env()
    random = RandomPolicy(sample_env.action_space)
    sample_env.close()
    rollouts = [played(policy, make_env), played(random, make_env)]
    learned = np.concatenate([reward_model.rewards(rollout).T for rollout in rollouts])  # (2 * N_ENVS, STEPS)
    metrics = reward_agreement(learned, np.concatenate([rollout.true_rewards.T for rollout in rollouts]))
    if env in TRUE_REWARDS and np.ndim(rollouts[0].observations) == 3:  # a function of the state, not of its picture
        metrics["epic"] = _epic(reward_model, env, rollouts, gamma)
    return metrics


def _epic(reward_model: Any, env: str, rollouts: list[Rollout], gamma: float) -> float:
    def learned(observations: np.ndarray, actions: np.ndarray, following: np.ndarray) -> np.ndarray:
        steps = {"observations": observations, "actions": actions, "next_observations": following}
        steps["begins"] = np.ones(len(actions), bool)  # none follows from another
        arrays = {name: array[:, None] for name, array in steps.items()}
        return reward_model.rewards(SimpleNamespace(**arrays, earlier=None))[:, 0]

    rng = np.random.default_rng(SEED)
    parts = ("observations", "actions", "next_observations")
    flat = {p: np.concatenate([getattr(r, p).reshape(-1, *getattr(r, p).shape[2:]) for r in rollouts]) for p in parts}
    picked = rng.choice(len(flat["actions"]), COMPARED, replace=False)
    before, actions, after = (flat[p][picked] for p in parts)
    return epic(learned, TRUE_REWARDS[env], before, actions, after, rng, gamma, SAMPLES)
