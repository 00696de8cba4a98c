"""Plots of a run, drawn from its folder: the learning curve and how well the reward model predicts answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prefrl.core.errors import UserError
from prefrl.runs.metrics import STEP, read_metrics


def write_plots(folder: Path, random_return: float | None = None) -> list[Path]:
    """Draw curve.png and reward.png into a run's folder. random_return: by default that of result.json, if there is one"""
    rows = metrics_of(folder)
    if random_return is None and (folder / "result.json").exists():
        random_return = json.loads((folder / "result.json").read_text()).get("random_return")
    made = [curve(rows, folder / "curve.png", random_return)]
    if len(series(rows, "reward/fit_train_loss")[0]):  # controls learn no reward
        made.append(reward_quality(rows, folder / "reward.png"))
    return made


def metrics_of(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's metrics.csv. Raises UserError where there are none."""
    path = folder / "metrics.csv"
    if not path.exists():
        raise UserError(f"{folder} has no metrics.csv; is it a run folder? `prefrl train` prints where it writes")
    return read_metrics(path)


def series(rows: list[dict[str, float]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one metric, where it was recorded."""
    points = [(row[STEP], row[name]) for row in rows if name in row]
    return np.array([step for step, _ in points]), np.array([value for _, value in points])


def _line(axes: Axes, rows: list[dict[str, float]], name: str, label: str, **style: Any) -> None:
    steps, values = series(rows, name)
    axes.plot(steps, values, label=label if len(steps) else f"{label}: no data", **style)


def curve(rows: list[dict[str, float]], path: Path, random_return: float | None = None) -> Path:
    """The true return over the run, with the questions asked by then."""
    figure = Figure(figsize=(7, 4))  # no pyplot: a notebook's own backend stays as it is
    axes = figure.subplots()
    _line(axes, rows, "rollout/ep_rew_mean", "true return (mean of the last 100 episodes)")
    if random_return is not None:
        axes.axhline(random_return, color="grey", linestyle=":", label="random policy")
    axes.set(xlabel="environment steps", ylabel="true return")
    questions = axes.twinx()
    _line(questions, rows, "preferences/asked", "questions asked", color="tab:orange", alpha=0.6)
    questions.set_ylabel("questions asked")
    questions.set_ylim(bottom=0)
    lines = [line for side in (axes, questions) for line in side.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="best", fontsize="small")
    return _save(figure, path)


def reward_quality(rows: list[dict[str, float]], path: Path) -> Path:
    """The reward model over the run: accuracy on held-out answers, correlation with the true reward, losses."""
    figure = Figure(figsize=(10, 4))
    left, right = figure.subplots(1, 2)
    _line(left, rows, "reward/accuracy", "accuracy on held-out answers", marker=".")
    _line(left, rows, "reward/true_correlation", "correlation with the true reward, per step")
    left.set(xlabel="environment steps", ylabel="accuracy, correlation", ylim=(-0.2, 1.05))
    _line(right, rows, "reward/fit_train_loss", "training", marker=".")
    _line(right, rows, "reward/fit_held_out_loss", "held out", marker=".")
    right.axhline(np.log(2), color="grey", linestyle=":", label="knowing nothing")
    right.set(xlabel="environment steps", ylabel="loss [nats per answer]")
    for axes in (left, right):
        axes.legend(fontsize="small")
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return path


def compare(folders: list[Path], path: Path) -> Path:
    """True return of several runs in one picture."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for folder in folders:
        _line(axes, metrics_of(folder), "rollout/ep_rew_mean", folder.name)
    axes.set(xlabel="environment steps", ylabel="true return (mean of the last 100 episodes)")
    axes.legend(fontsize="small")
    return _save(figure, path)
