"""A study as tables: each arm with its interval, every seed, the controls, and how it compares with the true reward."""

from __future__ import annotations

import numpy as np

from prefrl.bench.blocks import Block, Heading, ReportTable, Text
from prefrl.bench.statistics import (
    Interval,
    difference_in_iqm,
    failed_share,
    interquartile_mean,
    optimality_gap,
    probability_of_improvement,
)
from prefrl.bench.study import CEILING, SHUFFLED, Study, interval

LEGEND = (
    "True return of the last policy, never the best: interquartile mean over seeds (of fewer than four: their mean), 95 %"
    " stratified bootstrap interval."
    " Score: 0 for a policy that acts at random, 1 for the true-reward agent in the same steps, never clipped. Failed:"
    " share of seeds that score below .3. P(beats): chance that a run is better than one of the true-reward agent, or of"
    " the agent that learned from shuffled answers. Clear: whether the interval lies above those of all controls that"
    " ought to fail; only then has something been learned from answers."
)


def environment_table(study: Study, env: str) -> ReportTable:
    """One row an arm."""
    head = [
        "arm", "true return, IQM [95 % interval]", "score", "failed", "all seeds", "minus true reward",
        "P(beats true)", "P(beats shuffled)", "clear",
    ]  # fmt: skip
    return ReportTable(head, [_row(study, env, arm) for arm in study.table[env]])


def _row(study: Study, env: str, arm: str) -> list[str]:
    values = study.returns(env, arm)
    every = ", ".join(map(number, sorted(values)))
    if crashed := study.failures(env, arm):
        every += f" ({crashed} crashed: {'left out' if study.is_control(arm) else 'counted as a random policy'})"
    score = failed = gap = ""
    if env in study.comparable:
        scores = study.scores(env, arm)
        score, failed = f"{interquartile_mean(scores[:, None]):.2f}", f"{failed_share(scores):.0%}"
    if arm != CEILING and study.has(env, CEILING):
        gap = shown(interval(difference_in_iqm, values, study.returns(env, CEILING)))
    clear = "" if study.is_control(arm) else {True: "yes", False: "no", None: "n/a"}[study.above_controls(env, arm)]
    return [
        arm, shown(study.interval(env, arm)), score, failed, every, gap, _chance(study, env, arm, CEILING),
        _chance(study, env, arm, SHUFFLED), clear,
    ]  # fmt: skip


def _chance(study: Study, env: str, arm: str, rival: str) -> str:
    if arm == rival or not study.has(env, rival):
        return ""
    found = interval(probability_of_improvement, study.returns(env, arm), study.returns(env, rival))
    return shown(found, ".2f")


def shown(found: Interval, form: str = ".3g") -> str:
    """An estimate with its interval, or without where too few seeds give none."""
    if not np.isfinite(found.low):
        return f"{number(found.estimate, form)} [n/a]"
    return f"{number(found.estimate, form)} [{number(found.low, form)}, {number(found.high, form)}]"


def number(value: float, form: str = ".3g") -> str:
    """Three digits, and no power of ten where a plain number will do."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:{form}}"


def cost_table(study: Study, env: str) -> ReportTable:
    """What each arm cost, and what its reward model knew."""
    head = [
        "arm", "questions asked", "CPU s", "of it fitting rewards", "accuracy on held-out answers",
        "true return when acting at random as trained",
    ]  # fmt: skip
    rows = []
    for arm, results in study.table[env].items():
        whole = [one for one in results if "failed" not in one]
        rows.append([
            arm, _mean([one["asked"] for one in whole], ".0f"), _mean([one.get("cpu_seconds") for one in whole], ".1f"),
            _mean([one.get("fit_cpu_seconds") for one in whole], ".2f"),
            _mean([one["reward_model"].get("accuracy") for one in whole], ".2f"),
            _mean([one["true_return"].get("stochastic") for one in whole], ".3g"),
        ])  # fmt: skip
    return ReportTable(head, rows)


def _mean(values: list[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return number(float(np.mean(known)), form) if known else ""


def overall_table(study: Study) -> ReportTable:
    """Over all environments in which scores mean something."""
    head = ["arm", "score, IQM [95 % interval]", "optimality gap", "P(beats true)", "failed", "seeds x environments"]
    rows = []
    ceiling = study.matrix(CEILING)
    for arm in study.arm_names():
        scores = study.matrix(arm)
        if scores is None:
            continue
        chance = ""
        if arm != CEILING and ceiling is not None:
            chance = shown(interval(probability_of_improvement, scores, ceiling), ".2f")
        rows.append([
            arm, shown(interval(interquartile_mean, scores), ".2f"), shown(interval(optimality_gap, scores), ".2f"),
            chance, f"{failed_share(scores):.0%}", f"{len(scores)} x {scores.shape[1]}",
        ])  # fmt: skip
    return ReportTable(head, rows)


def tables(study: Study) -> list[Block]:
    """All of them, with headings."""
    found: list[Block] = []
    if len(study.comparable) > 1:
        found += [Heading("All environments"), Text(f"Over {', '.join(study.comparable)}."), overall_table(study)]
    areas = {name: (arms, study.area(arms)) for name, arms in study.curves().items()}
    if rows := [[name, ", ".join(map(str, arms)), shown(area, ".2f")] for name, (arms, area) in areas.items() if area]:
        head = ["method", "questions", "area under the curve: mean score over log2(questions)"]
        found += [Heading("Label efficiency"), ReportTable(head, rows)]
    for env in study.table:
        found += [Heading(f"{env}, {len(next(iter(study.table[env].values())))} seeds"), environment_table(study, env)]
        if CEILING in study.table[env] and env not in study.comparable:
            found.append(Text(
                f"The true-reward agent earns {number(study.ceiling(env))} here and a random policy {number(study.floors[env])}:"
                " in these steps the task is not learned, so there are no scores."
            ))  # fmt: skip
        found.append(cost_table(study, env))
    return found
