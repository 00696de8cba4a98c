"""A study as pictures; on each, every seed or an interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prefrl.bench.statistics import FEWEST_SEEDS, bootstrap_band, interquartile_mean, performance_profile
from prefrl.bench.study import CEILING, SHUFFLED, Study, interval

COLOURS = colormaps["tab10"].colors + colormaps["Dark2"].colors  # type: ignore[attr-defined]


def _panels(count: int, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(4.2 * count, 5.5), height))  # no pyplot: a notebook's own backend stays as it is
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _finish(figure: Figure, path: Path, legend: Axes, study: Study, **where: Any) -> Path:
    """Put the legend into one panel, and write the picture."""
    few = max(len(runs) for by_arm in study.table.values() for runs in by_arm.values()) < FEWEST_SEEDS
    title = f"IQM, {'too few seeds for intervals' if few else '95 % intervals'}, {_seeds(study)}"
    legend.legend(fontsize="x-small", title=title, title_fontsize="x-small", **where)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    return path


def _seeds(study: Study) -> str:
    counts = sorted({len(runs) for by_arm in study.table.values() for runs in by_arm.values()})
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _bands(axes: Axes, study: Study, env: str) -> None:
    """Controls as lines across, with their intervals."""
    for k, arm in enumerate(study.arm_names(controls=True), 1):  # of the same colour in every panel
        if arm not in study.table[env]:
            continue
        found, colour = study.interval(env, arm), COLOURS[k % len(COLOURS)]
        label = "shuffled answers" if arm == SHUFFLED else f"{arm} reward"
        axes.axhline(found.estimate, color=colour, linestyle="--", linewidth=1, label=label)
        if np.isfinite(found.low):
            axes.axhspan(found.low, found.high, color=colour, alpha=0.1)


def efficiency(study: Study, path: Path) -> Path:
    """True return against questions asked, each doubling taking the same width."""
    return against(study, path, "budgets", "questions", "log")


def returns(study: Study, path: Path) -> Path:
    """Every arm a row: each seed a dot, the interquartile mean with its interval; floor and ceiling as lines."""
    most = max(map(len, study.table.values()))
    figure, panels = _panels(len(study.table), 1.5 + 0.3 * most)
    for axes, (env, by_arm) in zip(panels, study.table.items(), strict=True):
        for row, arm in enumerate(by_arm):
            values, found = study.returns(env, arm), study.interval(env, arm)
            colour = "grey" if study.is_control(arm) else COLOURS[0]
            axes.plot(values, [row] * len(values), ".", color=colour, alpha=0.4)
            axes.plot([found.low, found.high], [row, row], color=colour, linewidth=3, alpha=0.6)
            axes.plot(found.estimate, row, "D", color=colour, markersize=5)
        axes.axvline(study.floors[env], color="grey", linestyle=":", label="random policy")
        if np.isfinite(study.ceiling(env)):
            axes.axvline(study.ceiling(env), color="green", linestyle="--", linewidth=1, label="true reward")
        axes.set(title=env, xlabel="true return at the end")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_yticks(range(len(by_arm)), list(by_arm), fontsize="small")
        axes.invert_yaxis()
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 3.5, "ncols": 2}  # not over seeds
    return _finish(figure, path, panels[0], study, **above)


def against(study: Study, path: Path, axis: str, label: str, scale: Literal["linear", "log"] = "linear") -> Path:
    """True return along one axis of the grid, one panel an environment, a line for each combination of the other axes."""
    figure, panels = _panels(len(study.table))
    lines = study.lines(axis)
    for axes, env in zip(panels, study.table, strict=True):
        for k, (name, arms) in enumerate(lines.items()):
            here, colour = {at: arm for at, arm in arms.items() if arm in study.table[env]}, COLOURS[k % len(COLOURS)]
            found = [study.interval(env, arm) for arm in here.values()]
            axes.plot(list(here), [one.estimate for one in found], "o-", label=name, color=colour)
            axes.fill_between(list(here), [i.low for i in found], [i.high for i in found], alpha=0.2, color=colour)
            for at, arm in here.items():
                values = study.returns(env, arm)
                axes.plot([at] * len(values), values, ".", color=colour, alpha=0.4)
        _bands(axes, study, env)
        axes.set(title=env, xlabel=label, ylabel="true return at the end", xscale=scale)
        if scale == "log":
            axes.set_xticks(places := sorted({at for arms in lines.values() for at in arms}), list(map(str, places)))
            axes.minorticks_off()
    return _finish(figure, path, panels[0], study)


def profiles(study: Study, path: Path) -> Path:
    """Share of runs that score above each threshold, over all environments that can be compared (Agarwal et al. 2021)."""
    figure, (axes,) = _panels(1, 4.5)
    known = {arm: scores for arm in study.arm_names() if (scores := study.matrix(arm)) is not None}
    best = max((scores.max() for scores in known.values()), default=1.0)
    thresholds = np.linspace(-0.25, min(max(1.5, best + 0.1), 5.0), 106)
    for k, (arm, scores) in enumerate(known.items()):
        style = "--" if study.is_control(arm) else "-"
        colour = COLOURS[k % len(COLOURS)]

        def profile(tables: np.ndarray) -> np.ndarray:
            return performance_profile(tables, thresholds)

        if len(scores) < FEWEST_SEEDS:
            axes.plot(thresholds, profile(scores[None])[0], style, color=colour, label=arm)
            continue
        height, low, high = bootstrap_band(profile, scores, rng=np.random.default_rng(0))
        axes.plot(thresholds, height, style, color=colour, label=arm)
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.12)
    axes.set(
        xlabel="score (0: random policy, 1: true reward)", ylabel="share of runs that score more",
        title=f"{', '.join(study.comparable)}; {_seeds(study)}",
    )  # fmt: skip
    axes.title.set_fontsize("small")
    return _finish(figure, path, axes, study)


def learning(study: Study, path: Path) -> Path | None:
    """True return of training episodes along the run: interquartile mean and interval over seeds. None without curves."""
    if not any(one.get("curve") for by_arm in study.table.values() for runs in by_arm.values() for one in runs):
        return None
    figure, panels = _panels(len(study.table))
    for axes, (env, by_arm) in zip(panels, study.table.items(), strict=True):
        for k, arm in enumerate(study.arm_names()):
            curves = [one["curve"] for one in by_arm.get(arm, ()) if one.get("curve")]
            if study.is_control(arm) and arm != CEILING or not curves:
                continue
            steps, low, middle, high = _along(curves)
            style = "--" if study.is_control(arm) else "-"
            axes.plot(steps, middle, style, color=COLOURS[k % len(COLOURS)], label=arm)
            axes.fill_between(steps, low, high, color=COLOURS[k % len(COLOURS)], alpha=0.15)
        axes.axhline(study.floors[env], color="grey", linestyle=":", label="random policy")
        axes.set(title=env, xlabel="environment steps", ylabel="true return, last 100 training episodes")
    return _finish(figure, path, panels[0], study)


def _along(curves: Sequence[Sequence[Sequence[float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Steps, low, interquartile mean, high of curves that each have points of their own."""
    first, last = max(one[0][0] for one in curves), min(one[-1][0] for one in curves)
    steps = np.linspace(first, last, 20)
    heights = np.stack([np.interp(steps, *np.array(one).T) for one in curves])  # (S, 20)
    found = [interval(interquartile_mean, column) for column in heights.T]
    low, middle, high = (np.array([getattr(one, part) for one in found]) for part in ("low", "estimate", "high"))
    return steps, low, middle, high


def main_figure(study: Study, path: Path) -> Path:
    """Return against questions where budgets were varied, else every arm beside the others."""
    return efficiency(study, path) if study.curves() else returns(study, path)


def figures(study: Study, folder: Path) -> list[tuple[Path, str]]:
    """All pictures that the study has data for, with their captions."""
    caption = "True return at the end: every seed, interquartile mean and interval"
    found = [(returns(study, folder / "returns.png"), caption)]
    if study.curves():
        found.append((efficiency(study, folder / "efficiency.png"), "True return against questions asked"))
    if study.comparable:
        found.append((profiles(study, folder / "profiles.png"), "Performance profiles"))
    if (path := learning(study, folder / "learning.png")) is not None:
        found.append((path, "True return while learning, beside the true-reward agent"))
    return found
