"""What an AI labeller did, what it cost, and how far it agrees with people and with the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from prefrl.core.errors import UserError
from prefrl.labelling.ai.ledger import Total
from prefrl.labelling.team import agreement
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.oracle import Oracle

BATCH = 256  # questions whose segments are read at once
ENOUGH = 10  # pairs, before a habit is called one


@dataclass(frozen=True)
class Summary:
    """One sitting of an AI labeller."""

    labeller: str
    ended: str  # why
    answers: int  # stored now
    opinions: int  # of them, on what somebody has answered
    equal: int
    skipped: int
    unusable: int  # of the skipped, those for which no answer could be read
    disagree: int  # pairs that were answered differently in the two orders
    one_sided: int  # of them, those where the same side was chosen whatever was there
    cache_hits: int  # replies that had been paid before
    now: Total
    ever: Total
    people: list[dict[str, Any]]  # {name, agree, n, kappa}, on all questions that both have answered
    oracle: tuple[int, int] | None  # clear answers to untied pairs: how many as the true reward says, of how many

    @property
    def disagreement(self) -> float | None:
        """Share of pairs on which the two orders did not agree."""
        told = self.answers - self.unusable
        return self.disagree / told if told else None

    def __str__(self) -> str:
        lines = [
            f"{self.labeller}: {self.ended}",
            f"  {self.answers} answers ({self.equal} equal, {self.skipped} skipped"
            + (f", {self.unusable} of them without a usable reply" if self.unusable else "")
            + (f"; {self.opinions} on questions answered by others" if self.opinions else "") + ")",
            f"  {self.now.calls} calls, {self.cache_hits} replies from the cache, {self.now.sent:,} tokens sent and"
            f" {self.now.received:,} received" + _money(self.now.cost, self.ever),
        ]  # fmt: skip
        if self.disagreement is not None:
            lines.append(
                f"  the two orders disagreed on {self.disagree} of {self.answers - self.unusable} pairs ({self.disagreement:.0%})"
            )
        if self.answers >= ENOUGH and self.one_sided > self.answers / 2:
            lines.append(
                "  WARNING: it mostly says the same side whatever is there; does this model see pictures at all?"
            )
        for one in self.people:
            beyond = "" if one["kappa"] is None else f", kappa {one['kappa']:.2f}"
            lines.append(f"  agrees with {one['name']} on {one['agree']:.0%} of {one['n']} shared questions{beyond}")
        if self.oracle is not None:
            lines.append(
                f"  agrees with the true reward on {self.oracle[0] / self.oracle[1]:.0%} of {self.oracle[1]} clear answers"
            )
        return "\n".join(lines)


def _money(cost: float | None, ever: Total) -> str:
    return "" if cost is None else f"; ${cost:.4g} ($%.4g for this run so far)" % (ever.cost or 0.0)


def with_people(store: LabelStore, labeller: str) -> list[dict[str, Any]]:
    """Agreement with everybody else who answered some of the same questions."""
    told = [row for row in lookup.since(store, 0) if row["kind"] != "withdrawal" and row["superseded_by"] is None]
    pairs = [one for one in agreement(told) if labeller in (one["a"], one["b"])]
    return [
        {
            "name": one["b"] if one["a"] == labeller else one["a"],
            **{part: one[part] for part in ("agree", "n", "kappa")},
        }
        for one in pairs
    ]


def with_oracle(store: LabelStore, labeller: str) -> tuple[int, int] | None:
    """Of the clear answers to pairs that the true reward tells apart, how many are its own, and how many there are."""
    mine = {row["query_id"]: row["preference"] for row in lookup.since(store, 0)
            if row["labeller"] == labeller and row["superseded_by"] is None and row["kind"] != "withdrawal"}  # fmt: skip
    ids = [query for query, told in mine.items() if told not in (None, 0.5)]
    right = clear = 0
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        try:
            known = Oracle(np.random.default_rng(0))(store.queries(batch))
        except UserError:  # a reward that is no number, or a damaged file: nothing to compare with
            return None
        truth = np.array([answer["preference"] for answer in known if answer])
        told = np.array([mine[query] for query in batch])
        right += int(((truth > 0.5) == (told > 0.5))[truth != 0.5].sum())
        clear += int((truth != 0.5).sum())
    return (right, clear) if clear else None
