"""Digests of what short runs learn, to see whether a change of the code changed what is computed.

    python -m benchmarks.digits                       all tasks, a minute or two
    python -m benchmarks.digits Pendulum-v1           some of them

Trains each task for 20,000 steps from an oracle's answers, with seed 0 and settings as they come, and prints a SHA-256 of
the policy, one of the reward ensemble and one of the answers. They are comparable on ONE machine only, with the same
packages: another CPU gives other digits. Run it at two commits and compare the lines. CPU seconds are those of the whole
run, with its evaluation.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import prefrl
from prefrl.store.store import LabelStore

TASKS = ("Pendulum-v1", "prefrl/Acrobot-v0", "prefrl/HalfCheetah-v0", "prefrl/Dot-v0")
STEPS = 20_000
SETTINGS: dict[str, Any] = {
    "seed": 0, "teacher.name": "oracle", "agent.device": "cpu", "record.video": False, "record.tensorboard": False,
}  # fmt: skip


def of_tensors(tensors: Mapping[str, Any]) -> str:
    """One digest of names, types, shapes and numbers, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = np.ascontiguousarray(torch.as_tensor(tensors[name]).detach().cpu().numpy())
        digest.update(f"{name} {values.dtype.str} {values.shape} ".encode() + values.tobytes())
    return digest.hexdigest()


def standing(store: LabelStore) -> list[tuple[int, float | None]]:
    """Question and preference of each answer that stands, in order; None: could not tell."""
    return [
        (query, None if math.isnan(value) else value)
        for batch in store.feedback()
        for query, value in zip(batch.query.tolist(), batch.answer["preference"].tolist(), strict=True)
    ]


def digits(env: str, steps: int = STEPS, fast: str = "auto") -> dict[str, Any]:
    """Train one task, and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        result = prefrl.train(
            env,
            folder=Path(folder) / "run",
            quiet=True,
            steps=steps,
            **SETTINGS,
            **{"agent.fast": fast, "reward.fast": fast},
        )
        seconds = time.process_time() - started
        answers = standing(result.run.store)
        found = {
            "policy": of_tensors(result.model.policy.state_dict()), "reward": of_tensors(result.reward_model.tensors()),
            "answers": hashlib.sha256(repr(answers).encode()).hexdigest(), "count": len(answers), "seconds": seconds,
        }  # fmt: skip
        result.run.store.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=TASKS, help=f"tasks (default: {' '.join(TASKS)})")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--fast",
        default="auto",
        choices=["auto", "off"],
        help="agent.fast and reward.fast; off: as releases before 0.2",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.steps} steps, seed 0", flush=True)
    for name in options.names:
        found = digits(name, options.steps, options.fast)
        print(f"{name}  {found['count']} answers, {found['seconds']:.1f} CPU seconds")
        for part in ("policy", "reward", "answers"):
            print(f"  {part:<8}{found[part]}", flush=True)


if __name__ == "__main__":
    main()
