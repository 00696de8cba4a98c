"""The main job in about three minutes: Pendulum learned from 100 answers of an oracle, beside its ceiling and floor.

python -m experiments.demo
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from prefrl.core.errors import Stopped
from prefrl.runs import api
from prefrl.runs.folder import next_free
from prefrl.runs.plots import compare

ENV = "Pendulum-v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of each of the two runs")
    parser.add_argument("--questions", type=int, default=100, help="questions to the oracle")
    options = parser.parse_args()
    folder = next_free(Path("runs") / "demo")
    print("1 of 2: a policy learned from preferences", flush=True)
    shared: dict[str, Any] = {"steps": options.steps, "tell": print, "record": {"evaluation_episodes": 100}}
    questions = {"budget": options.questions}
    learned = api.train(ENV, folder=folder / "preferences", questions=questions, **shared)
    print("2 of 2: the same agent on the true reward, the ceiling", flush=True)
    ceiling = api.train(ENV, preset="true", folder=folder / "true", **{**shared, "record.video": False})
    picture = compare([learned.folder, ceiling.folder], folder / "curves.png")
    print(
        f"\ntrue return, mean of {len(learned.true_return.episodes)} episodes and its standard error (0 is best)\n"
        f"  random policy, the floor          {learned.random_return}\n"
        f"  learned from {learned.run.asker.asked:4d} answers         {learned.true_return}\n"
        f"  true reward, the ceiling          {ceiling.true_return}\n"
        "(one seed: the README has ten; a learned reward is often the easier one to improve a policy on)\n\n"
        f"both learning curves  {picture}\n"
        f"reward model          {learned.folder / 'reward.png'}\n"
        f"the learned policy    {learned.folder / 'video.mp4'}"
    )


if __name__ == "__main__":
    try:
        main()
    except Stopped as stop:
        raise SystemExit(stop.code) from None
