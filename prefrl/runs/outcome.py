"""The outcome of a finished run: its true returns, how well the reward model predicts, plots and a video."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prefrl.agents.agent import Agent
from prefrl.config.settings import Config
from prefrl.core.files import write_durably
from prefrl.evaluation.learned_reward import compare
from prefrl.evaluation.returns import Returns, random_returns, true_returns
from prefrl.rendering.video import record_episode, write_video
from prefrl.rewards.controls import TrueReward
from prefrl.rewards.model import RewardModel
from prefrl.runs import build
from prefrl.runs.own import Own
from prefrl.runs.run import Run

log = logging.getLogger("prefrl")

LONGEST_VIDEO = 300  # steps


@dataclass
class Result:
    """A finished run."""

    folder: Path
    true_return: Returns  # of the final, deterministic policy
    random_return: Returns  # the baseline
    run: Run

    @property
    def model(self) -> Any:
        """The trained SB3 model: `result.model.predict(observation)`."""
        return self.run.model

    @property
    def reward_model(self) -> RewardModel | TrueReward:
        return self.run.reward_model

    def __str__(self) -> str:
        return (
            f"true return {self.true_return.mean:.4g} (random policy {self.random_return.mean:.4g},"
            f" {len(self.true_return.episodes)} episodes each); everything is in {self.folder}"
        )


def finish(run: Run) -> Result:
    """Evaluate the final policy, and write result.json, the plots and the video."""
    config, folder = run.config, run.folder
    if build.asks(config) and run.learner.version == 0:
        why = run.log.last_fit.note if run.log.last_fit else "no answer came"
        warnings.warn(
            f"nothing was learned from {run.asker.asked} questions ({why}); the policy is untaught", stacklevel=3
        )
    if build.asks(config) and run.asker.asked < run.asker.budget:
        log.info(
            "%d of %d questions were asked: for the others there was no room among open ones, or there were too few segments"
            " that no question had shown; shorter segments (--questions.length) or more steps leave more of them",
            run.asker.asked, run.asker.budget,
        )  # fmt: skip
    if replayed := run.teacher.report():
        _report_replay(replayed, config.teacher.name)
    make_env, episodes = build.maker(config, run.own), config.record.evaluation_episodes
    result = Result(folder, true_returns(run.agent, make_env, episodes), random_returns(make_env, episodes), run)
    summary = {
        "env": config.env,
        "seed": config.seed,
        "steps": run.agent.step,
        "asked": run.asker.asked,
        "true_return": result.true_return.mean,
        "true_returns": result.true_return.episodes,
        "random_return": result.random_return.mean,
        "reward_model": _reward_quality(run),
        **({"replay": replayed} if replayed else {}),
        "fit_cpu_seconds": run.reward_model.cpu_seconds,
    }
    write_durably(folder / "result.json", json.dumps(summary, indent=1).encode())
    if config.record.plots:
        from prefrl.runs.plots import write_plots  # not at the top: a run without plots loads no matplotlib

        write_plots(folder, result.random_return.mean)
    if config.record.video:
        film(run.agent, config, run.own, folder / "video.mp4")
    return result


def _report_replay(counts: dict[str, object], name: str) -> None:
    """Log how many questions the recording answered; warn if it knew none."""
    log.info(
        "%s: %d of %d questions were answered from the recording, which has answers to %d; %d it did not know (%s)",
        name, counts["answered"], counts["asked"], counts["recorded"], counts["unknown"], counts["unknown_get"],
    )  # fmt: skip
    if late := counts["said_after_the_recorded_run"]:
        log.info(
            "%d of them have answers that came after the recorded run; --teacher.timing once gives those too", late
        )
    if counts["asked"] and not counts["known"]:
        warnings.warn(
            "the recording knew no question of this run; see prefrl train --help for its seed and settings",
            stacklevel=4,
        )


def _reward_quality(run: Run) -> dict[str, float]:
    """How well the reward model predicts held-out answers, and how close it is to the true reward."""
    fit = run.log.last_fit
    if not fit or run.reward_model.version == 0:
        return fit.metrics if fit else {}
    make_env = build.maker(run.config, run.own)
    return fit.metrics | compare(run.reward_model, run.agent, make_env, run.config.env, run.agent.gamma)


def film(policy: Agent, config: Config, own: Own, path: Path) -> Path | None:
    """Write a video of one evaluation episode; where the environment cannot be drawn, warn and return None."""
    try:
        make_env = build.maker(config, own, render_mode="rgb_array")

        def act(observation: np.ndarray) -> np.ndarray:
            return policy.predict(observation[None], deterministic=True)[0][0]

        recorded = record_episode(make_env, act, config.seed, LONGEST_VIDEO)
        return write_video(recorded.frames, path, recorded.fps)
    except Exception as fault:  # a rendering error must not fail a finished run
        warnings.warn(f"no video of {config.env}: {fault}; --record.no-video asks for none", stacklevel=3)
        return None
