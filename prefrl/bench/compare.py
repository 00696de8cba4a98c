"""Two reports beside each other: which arms changed, by how much, and whether by more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prefrl.bench.blocks import Block, Heading, Lines, ReportTable, Text
from prefrl.bench.cache import differences
from prefrl.bench.result_tables import shown
from prefrl.bench.statistics import Interval, difference_in_iqm, probability_of_improvement
from prefrl.bench.study import Study, interval
from prefrl.core.errors import UserError

CLAIM_SEEDS = 20  # of each, for "better"; ENOUGH_SEEDS are enough to report a figure, not to tell two apart


@dataclass(frozen=True)
class Change:
    """Of one arm in one environment, from the first study to the second."""

    env: str
    arm: str
    gap: Interval  # second minus first, in true return
    chance: Interval  # that a run of the second beats one of the first

    @property
    def verdict(self) -> str:
        """`better` and `worse` only with enough seeds and an interval without 0; `no difference shown` is a result."""
        if not np.isfinite(self.gap.low):
            return "too few seeds"
        if self.gap.low <= 0 <= self.gap.high:
            return "no difference shown"
        word = "better" if self.gap.low > 0 else "worse"
        return (
            word
            if self.gap.seeds >= CLAIM_SEEDS
            else f"perhaps {word}: {self.gap.seeds} seeds, a claim needs {CLAIM_SEEDS}"
        )


def changes(first: Study, second: Study) -> list[Change]:
    """Of all arms that both have. Raises UserError if there are none."""
    found = []
    for env, by_arm in second.table.items():
        for arm in by_arm:
            if arm in first.table.get(env, {}):
                before, after = first.returns(env, arm), second.returns(env, arm)
                gap, chance = (interval(one, after, before) for one in (difference_in_iqm, probability_of_improvement))
                found.append(Change(env, arm, gap, chance))
    if not found:
        raise UserError(
            f"{first.name} and {second.name} have no arm of an environment in common:"
            f" {', '.join(first.table)} with {', '.join(first.arm_names())}; {', '.join(second.table)} with"
            f" {', '.join(second.arm_names())}"
        )
    return found


def unlike(first: Study, second: Study) -> list[str]:
    """What else differs between them, besides their results: steps, versions, machine, seeds, settings, arms."""
    found = []
    for env in second.table:
        if env not in first.table:
            continue
        a, b = first.about[env], second.about[env]
        found += [
            f"{env}: {key} {a.get(key, 'not noted')} / {b.get(key, 'not noted')}"
            for key in ("steps", "evaluation", "machine")
            if a.get(key) != b.get(key)
        ]
        found += [f"{env}: {line}" for line in differences(a, b)]
        seeds = [{one["seed"] for runs in study.table[env].values() for one in runs} for study in (first, second)]
        if seeds[0] != seeds[1]:
            seeds_of = [f"{len(one)} seeds from {min(one)} to {max(one)}" for one in seeds]
            found.append(f"{env}: {seeds_of[0]} / {seeds_of[1]}")
    for arm in (name for name in second.arms if name in first.arms):
        before, after = first.arms[arm]["settings"], second.arms[arm]["settings"]
        found += [
            f"{arm}: {name} {before.get(name, 'by default')} / {after.get(name, 'by default')}"
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
    return found


def left_out(first: Study, second: Study) -> list[str]:
    """What only one of them has, and is not compared."""
    one, other = ({f"{env}, {arm}" for env in study.table for arm in study.table[env]} for study in (first, second))
    sides = {"only in the first": one - other, "only in the second": other - one}
    return [f"{where}: {'; '.join(sorted(names))}" for where, names in sides.items() if names]


def comparison(first: Study, second: Study) -> list[Block]:
    """As blocks of a report."""
    rows = [
        [one.env, one.arm, shown(first.interval(one.env, one.arm)), shown(second.interval(one.env, one.arm)),
         shown(one.gap), shown(one.chance, ".2f"), one.verdict]
        for one in changes(first, second)
    ]  # fmt: skip
    head = ["environment", "arm", "first", "second", "second minus first", "P(second beats first)", "verdict"]
    blocks: list[Block] = [
        Heading(f"{first.name} and {second.name}", 1),
        Text("True return, interquartile mean over seeds; 95 % stratified bootstrap intervals. One arm in twenty would be"
             " called different by chance alone, with fewer than ten seeds more of them."),
        ReportTable(head, rows),
    ]  # fmt: skip
    if differing := unlike(first, second):
        blocks += [Text("They also differ in (first / second):"), Lines(differing)]
    if missing := left_out(first, second):
        blocks += [Text("Not compared:"), Lines(missing)]
    return blocks
