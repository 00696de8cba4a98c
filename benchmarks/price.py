"""The price of preferences: CPU time of a whole run over plain SB3 PPO on the true reward, interleaved in one process.

    python -m benchmarks.price            about two minutes

Setting: Pendulum-v1, 100k steps, 700 questions of 50 steps to a perfect oracle, an ensemble of three 64-64 MLPs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.table import Row, show
from prefrl.config.methods import preset
from prefrl.config.settings import Config, OnPolicyConfig
from prefrl.config.values import update
from prefrl.environments.making import env_maker
from prefrl.evaluation.returns import true_returns
from prefrl.runs.build import make_run
from prefrl.runs.own import Own

ENV = "Pendulum-v1"
SETTING = {"questions.budget": 700, "questions.length": 50, "agent.batch_size": 256}
ARMS = ("uniform", "disagreement")


def plain(config: Config) -> tuple[float, float]:
    """SB3 alone, on the true reward. Returns CPU seconds and the true return at the end."""
    started = time.process_time()
    s = config.agent
    assert isinstance(s, OnPolicyConfig)
    model = PPO(
        "MlpPolicy", make_vec_env(ENV, s.n_envs), learning_rate=s.learning_rate, n_steps=s.n_steps, n_epochs=s.n_epochs,
        batch_size=s.batch_size, gamma=s.gamma, gae_lambda=s.gae_lambda, policy_kwargs={"net_arch": list(s.hidden)},
        seed=config.seed, device="cpu",
    )  # fmt: skip
    model.learn(config.steps)
    return time.process_time() - started, true_returns(model, env_maker(ENV), 20).mean


def preferences(config: Config) -> tuple[float, float, float]:
    """The same agent taught by preferences: CPU seconds, those spent on fitting, and the true return at the end."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        run = make_run(Path(folder), config, Own(), quiet=True)
        run.learn()
        whole = time.process_time() - started
        return whole, run.reward_model.cpu_seconds, true_returns(run.model, env_maker(ENV), 20).mean


def rows(seeds: int = 3, steps: int = 100_000) -> list[Row]:
    """One row per arm: ratios of CPU time, and true returns."""
    torch.set_num_threads(1)
    base = update(preset("christiano", ENV), {**SETTING, "steps": steps})
    plain(update(base, {"steps": 4096}))  # imports and first calls belong to nobody
    preferences(update(base, {"steps": 4096, "questions.budget": 20}))
    found: dict[str, list[tuple[float, float, float]]] = {arm: [] for arm in ARMS}
    floors, ceilings = [], []
    for seed in range(seeds):
        config = update(base, {"seed": seed})
        cpu, ceiling = plain(config)
        floors.append(cpu)
        ceilings.append(f"{ceiling:.0f}")
        for arm in ARMS:
            whole, fit, value = preferences(update(config, {"questions.strategy": arm}))
            found[arm].append((whole / cpu, (whole - fit) / cpu, value))
    command = "python -m benchmarks.price"
    remark = f"true return {', '.join(ceilings)}"
    made = [Row("plain SB3 PPO, CPU seconds", f"{statistics.mean(floors):.1f}", remark, command)]
    for arm, runs in found.items():
        whole, outside = (statistics.mean(run[k] for run in runs) for k in (0, 1))
        returns = ", ".join(f"{run[2]:.0f}" for run in runs)
        made.append(Row(f"preferences, {arm} queries, over plain", f"{whole:.2f}", f"true return {returns}", command))
        made.append(Row("  outside reward fitting", f"{outside:.2f}", "", command))
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100_000)
    options = parser.parse_args()
    show(rows(options.seeds, options.steps))
