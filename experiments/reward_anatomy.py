"""Reward anatomy: the learned reward over the state space beside the true one, as labels accumulate. An animation.

    python -m experiments.reward_anatomy                        Pendulum and MountainCar, 300 answers each
    python -m experiments.reward_anatomy --quick                short runs, into runs/quick

Both rewards are of the step that one and the same action takes from each state: no torque on the pendulum, a push to
the right of the car. Each is shown standardised, as preferences fix neither scale nor shift. One seed: it shows how a
reward grows, and measures nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.figure import QUICK, RESULTS
from prefrl.environments.making import env_maker
from prefrl.evaluation.reward_distance import pearson
from prefrl.rendering.video import write_frames
from prefrl.runs import api, checkpoint
from prefrl.runs.folder import next_free

ACROSS, STAGES = 41, 40


@dataclass(frozen=True)
class View:
    """Which states are shown, and the action that is taken in all of them."""

    env: str
    x: tuple[str, float, float]  # what is along the axis, from, to
    y: tuple[str, float, float]
    action: float | list[float]

    @property
    def states(self) -> np.ndarray:
        """(ACROSS * ACROSS, 2), x running fastest"""
        x, y = (np.linspace(low, high, ACROSS) for _, low, high in (self.x, self.y))
        return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


VIEWS = [
    View("Pendulum-v1", ("angle, 0 is up [rad]", -np.pi, np.pi), ("speed [rad/s]", -8.0, 8.0), [0.0]),
    View("prefrl/MountainCar-v0", ("position", -1.2, 0.5), ("speed", -0.07, 0.07), 2),
]


def steps_from(view: View) -> tuple[SimpleNamespace, np.ndarray]:
    """The step that the action takes from each state: its arrays as the reward model wants them, and true rewards (N,)"""
    env = env_maker(view.env)()
    env.reset(seed=0)
    bare = env.unwrapped
    action = np.asarray(view.action, getattr(env.action_space, "dtype", None))
    before, after, rewards = [], [], []
    for state in view.states:
        bare.state = state.copy()  # type: ignore[attr-defined]
        before.append(observed(bare))
        observation, reward, *_ = bare.step(action)
        after.append(observation)
        rewards.append(float(reward))
    env.close()
    actions = np.broadcast_to(action, (len(before), *action.shape))
    steps = {"observations": np.stack(before), "actions": actions, "next_observations": np.stack(after)}
    return SimpleNamespace(**{name: array[:, None] for name, array in steps.items()}), np.array(rewards)


def observed(env: gymnasium.Env) -> np.ndarray:
    """The observation of the state that the environment is in."""
    observation = env._get_obs() if hasattr(env, "_get_obs") else env.state  # type: ignore[attr-defined]
    return np.asarray(observation, np.float32)


def frame(view: View, learned: np.ndarray, true: np.ndarray, title: str) -> np.ndarray:
    """Both rewards side by side: (N,), (N,) -> (H, W, 3) uint8"""
    figure = Figure(figsize=(9, 4), dpi=90)
    extent = (*view.x[1:], *view.y[1:])
    for axes, name, values in zip(figure.subplots(1, 2), ("learned", "true"), (learned, true), strict=True):
        spread = values.std()
        shown = (values - values.mean()) / (spread if spread > 1e-9 else 1.0)
        axes.imshow(shown.reshape(ACROSS, ACROSS), origin="lower", extent=extent, aspect="auto", vmin=-2.5, vmax=2.5)
        axes.set(title=f"{name} reward", xlabel=view.x[0], ylabel=view.y[0])
    figure.suptitle(title)
    figure.tight_layout()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def animate(view: View, folder: Path, path: Path, steps: int, questions: int) -> Path:
    """Learn, then draw the reward of each checkpoint."""
    api.train(
        view.env, folder=folder, steps=steps, questions={"budget": questions},
        record={"checkpoints": STAGES, "keep": STAGES + 1, "video": False, "evaluation_episodes": 10},
    )  # fmt: skip
    steps_taken, true = steps_from(view)
    run = api.load_run(folder)
    frames = []
    try:
        for path in reversed(checkpoint.found(folder / "checkpoints")):
            step, asked = run.restore(path), run.asker.asked
            learned = run.reward_model.rewards(steps_taken)[:, 0]
            agreement = pearson(learned, true)
            title = f"{view.env}, step {step:,}: {asked} answers, correlation {agreement:.2f}"
            frames.append(frame(view, learned, true, title))
    finally:
        run.close()
    return write_frames([*frames, *[frames[-1]] * 8], path, fps=4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of each run (default 100000)")
    parser.add_argument("--questions", type=int, default=300, help="answers of the oracle (default 300)")
    parser.add_argument("--quick", action="store_true", help="8,192 steps and 30 answers, into runs/quick")
    options = parser.parse_args()
    target = RESULTS
    if options.quick:
        options.steps, options.questions, target = 8192, 30, QUICK
    for view in VIEWS:
        name = f"reward_anatomy-{view.env.split('/')[-1]}"
        folder = next_free(Path("runs") / name)
        print(animate(view, folder, target / f"{name}.gif", options.steps, options.questions))


if __name__ == "__main__":
    main()
