"""How well a reward model of pixels predicts answers about Pong that it has not seen: 1,000 labels, held-out pairs.

python -m experiments.pong_reward            about 40 minutes on two cores
python -m experiments.pong_reward --quick    150 labels, one member, few passes: whether it runs and learns at all

Play is recorded from players of mixed skill: each follows the ball with a probability of its own and else acts at random,
so that points are won and lost in all ways. Labels are an oracle's on 25 steps; held-out pairs come from other games.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prefrl.bench.study import commit
from prefrl.config.methods import tuned
from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.core.files import write_durably
from prefrl.core.frames import Frames
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rewards.encoding import Pictures
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import ALL_NETWORKS, PICTURE_NETWORKS
from prefrl.runs.build import torch_device
from prefrl.runs.folder import machine

ENV, LENGTH, N_ENVS = "ALE/Pong-v5", 25, 8
BALL, PADDLE, UP, DOWN = 54, 51, 2, 3  # bytes of the console's memory, and actions
RESULTS = Path(__file__).parent / "results" / "pong_reward.json"


def act(recorder: Recorder, rng: np.random.Generator) -> np.ndarray:
    """Follow the ball with a probability that differs from player to player: (N_ENVS,)"""
    memory = np.stack([env.unwrapped.ale.getRAM() for env in recorder.venv.envs]).astype(int)  # type: ignore[attr-defined]
    wanted = np.where(memory[:, BALL] > memory[:, PADDLE] + 8, DOWN, UP)
    skilled = rng.random(N_ENVS) < np.linspace(0, 1, N_ENVS)
    return np.where(skilled, wanted, rng.integers(0, 6, N_ENVS))


def play(pairs: int, seed: int) -> tuple[Recorder, Segments]:
    """Random pairs of different segments: batch shape (pairs, 2)"""
    rng = np.random.default_rng(seed)
    steps = -(-2 * pairs * LENGTH // N_ENVS) + 4 * LENGTH
    recorder = Recorder(make_venv(env_maker(ENV), N_ENVS), steps + 4)
    recorder.seed(seed)
    recorder.reset()
    for _ in range(steps):
        recorder.step(act(recorder, rng))
    segments = recorder.cut_segments(LENGTH, rng)
    if len(segments) < 2 * pairs:  # games that ended left gaps
        pairs = len(segments) // 2
    return recorder, segments[rng.permutation(len(segments))[: 2 * pairs].reshape(-1, 2)]


def asked(segments: Segments) -> Feedback:
    """An oracle's answers."""
    gap = segments.true_returns[:, 0] - segments.true_returns[:, 1]
    number = np.arange(1, len(segments) + 1)
    return Feedback("pair", segments, {"preference": (np.sign(gap) + 1) / 2}, number, number)


def accuracy(model: RewardModel, feedback: Feedback) -> tuple[float, int]:
    """Share of decisive answers that the members' mean return predicts, and how many there are."""
    decisive = np.flatnonzero(feedback.answer["preference"] != 0.5)
    shown = feedback.segments[decisive]
    rewards = model.member_rewards(shown.flat())
    assert rewards is not None
    each = rewards.sum(-1).numpy()
    scale = model.ensemble.reward_std.cpu().numpy()[:, None]
    returns = (each / scale).mean(0).reshape(-1, 2)
    right = (returns[:, 0] > returns[:, 1]) == (feedback.answer["preference"][decisive] == 1)
    return float(right.mean()), len(decisive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--network", default=tuned(ENV)["reward.network"], choices=sorted(PICTURE_NETWORKS))
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--passes", type=int, default=45, help="passes over 100 answers each, at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.labels, options.members, options.passes, options.seeds = 150, 1, 8, 1
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        started = time.perf_counter()
        recorder, taught = play(options.labels, seed)
        _, unseen = play(60 if options.quick else 400, seed + 1000)
        assert isinstance(taught.observations, Frames)
        settings = RewardConfig(
            network=options.network, hidden=(64,), members=options.members, batch_size=16,
            first_epochs=options.passes, patience=tuned(ENV)["reward.patience"],
        )  # fmt: skip
        torch.manual_seed(seed)
        pictures = Pictures(recorder.observation_space, recorder.action_space)
        network = partial(ALL_NETWORKS[options.network][0], hidden=settings.hidden)
        model = RewardModel(settings, pictures, network, seed, torch_device(options.device, recorder))
        model.hear(asked(taught))
        report = model.fit(0)
        share, decisive = accuracy(model, asked(unseen))
        rows.append({
            "seed": seed, "labels": len(taught), "network": options.network, "members": options.members,
            "accuracy": share, "held_out_decisive": decisive, "passes": report.epochs, "train_loss": report.train_loss,
            "held_out_loss": report.held_out_loss, "fit_cpu_seconds": report.seconds,
            "seconds": time.perf_counter() - started,
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    if not options.quick:
        about = {"command": "python -m experiments.pong_reward", "commit": commit(), **machine()}
        write_durably(RESULTS, (json.dumps({"about": about, "runs": rows}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
