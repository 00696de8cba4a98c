"""Random play, for the tests of the tasks."""

from typing import NamedTuple

import gymnasium
import numpy as np


class Episode(NamedTuple):
    observations: np.ndarray  # (steps + 1, *observation)
    rewards: np.ndarray  # (steps,)
    terminated: np.ndarray  # (steps,)
    truncated: np.ndarray  # (steps,)
    infos: list[dict]


def play(env: gymnasium.Env, seed: int) -> Episode:
    """One whole episode of random actions; the seed decides both the start and the actions."""
    env.action_space.seed(seed)
    seen, steps, over = [env.reset(seed=seed)[0]], [], False
    while not over:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(observation)
        steps.append((reward, terminated, truncated, info))
        over = terminated or truncated
    rewards, terminations, truncations, infos = zip(*steps, strict=True)
    return Episode(np.stack(seen), np.array(rewards), np.array(terminations), np.array(truncations), list(infos))


def tie_rate(rewards: np.ndarray, length: int, rng: np.random.Generator, pairs: int = 4000) -> float:
    """Share of random segment pairs with equal return. rewards: (episodes, steps)."""
    sums = np.lib.stride_tricks.sliding_window_view(rewards, length, axis=1).sum(-1)  # (episodes, starts)
    first, second = rng.integers(len(sums), size=(2, pairs))
    second = np.where(first == second, (second + 1) % len(sums), second)  # from two episodes, as in training
    starts = rng.integers(sums.shape[1], size=(2, pairs))
    return float(np.isclose(sums[first, starts[0]], sums[second, starts[1]], rtol=0, atol=1e-9).mean())
