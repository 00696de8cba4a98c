"""Learning a game from preferences beside plain SB3 PPO: the same network, Adam, environments and frames, in turn.

    python -m benchmarks.pixels                                       on a CPU: some ten minutes
    python -m benchmarks.pixels --steps 500000 --questions 5500       2 million frames, for a GPU

Each arm runs in a process of its own, so that the peaks of its memory are its own. Questions are asked at the rate of the
paper's 5,500 in so many steps, and reward fitting is in the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.table import Row, show
from prefrl.agents.on_policy import sb3_model
from prefrl.config.methods import preset
from prefrl.config.settings import Config, OnPolicyConfig
from prefrl.config.values import update
from prefrl.environments.vector import make_venv
from prefrl.runs.build import make_run, maker, torch_device, vector_env
from prefrl.runs.own import Own

COMMAND = " ".join(["python -m benchmarks.pixels", *sys.argv[1:]])
ARMS = PLAIN, PREFERENCES = "plain SB3 PPO", "preferences"


def measured(arm: str, config: Config) -> dict[str, float]:
    """One arm in this process: wall seconds, CPU seconds of fits and peaks of memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        fits = _plain(config) if arm == PLAIN else _preferences(config, Path(folder))
        seconds = time.perf_counter() - started
    found = {"seconds": seconds, "fits": fits, "host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if torch.cuda.is_initialized():
        found["device"] = torch.cuda.max_memory_allocated() / 2**20
    return found


def _plain(config: Config) -> float:
    assert isinstance(config.agent, OnPolicyConfig)
    sb3_model(config.agent, vector_env(config, Own()), config.seed).learn(config.steps)
    return 0.0


def _preferences(config: Config, folder: Path) -> float:
    run = make_run(folder, config, Own(), quiet=True)
    run.learn()
    return run.reward_model.cpu_seconds


def _in_turn(config: Config, seeds: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm in ARMS:
            print(f"seed {seed}: {arm}", file=sys.stderr, flush=True)
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                found[arm].append(alone.submit(measured, arm, update(config, {"seed": seed})).result())
    return found


def rows(env: str, steps: int, questions: int, seeds: int, settings: dict[str, Any]) -> list[Row]:
    """Game frames a second of each arm, and how many times as long as plain PPO it takes."""
    wanted = {"steps": steps, "questions.budget": questions, "record.video": False, **settings}
    config = update(preset("christiano", env), wanted)
    venv = make_venv(maker(config, Own()), 1)
    device = torch_device(config.agent.device, venv).type
    venv.close()
    found, made = _in_turn(config, seeds), []
    mean = {arm: {key: statistics.mean(run[key] for run in runs) for key in runs[0]} for arm, runs in found.items()}
    rollout = config.agent.turn_steps
    frames = -(-steps // rollout) * rollout * (4 if env.startswith("ALE/") else 1)
    plain = mean[PLAIN]["seconds"]
    for arm, figures in mean.items():
        ratio = "" if arm == PLAIN else f" ({figures['seconds'] / plain:.2f} times as long)"
        remark = f"{device}; {figures['fits']:.0f} CPU s of fits; peak {figures['host']:.0f} MB"
        if "device" in figures:
            remark += f", {figures['device']:.0f} MB on the GPU"
        made.append(Row(f"{env}, {arm}", f"{frames / figures['seconds']:,.0f} frames/s{ratio}", remark, COMMAND))
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="ALE/Pong-v5")
    parser.add_argument("--steps", type=int, default=20_000, help="of the agent, each of four frames (default: 20000)")
    parser.add_argument("--questions", type=int, default=220, help="default: 220, the rate of 5,500 in 500,000 steps")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--native", action="store_true", help="games stepped by ale-py's vector")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    options = parser.parse_args()
    own = {"agent.device": options.device, "pixels.native": options.native}
    show(rows(options.env, options.steps, options.questions, options.seeds, own))
