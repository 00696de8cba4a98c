"""Summary of an AI labeller: its answers, their cost, and its agreement with people and with the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from prefrl.core.errors import UserError
from prefrl.kinds import Answer, Kind, kind_of
from prefrl.labelling.ai.ledger import Total
from prefrl.labelling.reliability import agreement
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.oracle import Oracle

BATCH = 256  # questions whose segments are read at once
ENOUGH = 10  # answers before a position bias is reported
COUNTED = ("answers", "opinions", "undecided", "skipped", "unusable", "disagree", "one_sided", "cache_hits")
"""The fields of Summary that are counted."""


class WithPerson(TypedDict):
    """Agreement with another labeller, on all questions that both have answered."""

    name: str
    agree: float  # share of the questions
    n: int
    kappa: float | None


@dataclass(frozen=True)
class Summary:
    """Summary of one session of an AI labeller."""

    labeller: str
    ended: str  # the reason
    answers: int  # stored now
    opinions: int  # of them, on questions that others had answered
    undecided: int
    skipped: int
    unusable: int  # of the skipped, those for which no answer could be read
    disagree: int  # questions whose orders were answered differently
    one_sided: int  # of them, those where the same place was preferred in every order
    cache_hits: int  # replies found in the ledger
    now: Total
    ever: Total
    people: list[WithPerson]
    oracle: tuple[int, int] | None  # clear answers: how many agree with the true reward, of how many

    @property
    def disagreement(self) -> float | None:
        """Share of questions whose orders were answered differently."""
        usable = self.answers - self.unusable
        return self.disagree / usable if usable else None

    def __str__(self) -> str:
        lines = [
            f"{self.labeller}: {self.ended}",
            f"  {self.answers} answers ({self.undecided} undecided, {self.skipped} skipped"
            + (f", {self.unusable} of them without a usable reply" if self.unusable else "")
            + (f"; {self.opinions} on questions answered by others" if self.opinions else "") + ")",
            f"  {self.now.calls} calls, {self.cache_hits} replies from the cache, {self.now.sent:,} tokens sent and"
            f" {self.now.received:,} received"
            + ("" if self.now.cost is None else f"; ${self.now.cost:.4g} (${self.ever.cost or 0.0:.4g} for this run so far)"),
        ]  # fmt: skip
        if self.disagreement is not None:
            lines.append(
                f"  the orders disagreed on {self.disagree} of {self.answers - self.unusable} questions"
                f" ({self.disagreement:.0%})"
            )
        if self.answers >= ENOUGH and self.one_sided > self.answers / 2:
            lines.append(
                "  WARNING: it mostly prefers the same place whatever is there; does this model see pictures at all?"
            )
        for pair in self.people:
            kappa = "" if pair["kappa"] is None else f", kappa {pair['kappa']:.2f}"
            lines.append(f"  agrees with {pair['name']} on {pair['agree']:.0%} of {pair['n']} shared questions{kappa}")
        if self.oracle is not None:
            lines.append(
                f"  agrees with the true reward on {self.oracle[0] / self.oracle[1]:.0%} of {self.oracle[1]} clear answers"
            )
        return "\n".join(lines)


def with_people(store: LabelStore, labeller: str) -> list[WithPerson]:
    """Agreement with each other labeller who answered some of the same questions."""
    standing = [row for row in lookup.since(store, 0) if row["kind"] != "withdrawal" and row["superseded_by"] is None]
    return [
        WithPerson(name=other, agree=pair["agree"], n=pair["n"], kappa=pair["kappa"])
        for pair in agreement(standing)
        for labelled, other in ((pair["a"], pair["b"]), (pair["b"], pair["a"]))
        if labelled == labeller
    ]


def with_oracle(store: LabelStore, labeller: str) -> tuple[int, int] | None:
    """Agreement with the oracle on questions that both answer clearly: (how many agree, of how many)."""
    mine = {row["query_id"]: row for row in lookup.since(store, 0)
            if row["labeller"] == labeller and row["superseded_by"] is None and row["kind"] != "withdrawal"}  # fmt: skip
    right = clear = 0
    for name in sorted({row["asked_kind"] for row in mine.values()}):
        kind = kind_of(name)
        queries = [query for query, row in mine.items() if row["asked_kind"] == name and _clear(kind, row["answer"])]
        for start in range(0, len(queries), BATCH):
            batch = queries[start : start + BATCH]
            try:
                truth = Oracle(np.random.default_rng(0))(store.queries(batch))
            except UserError:  # a reward that is NaN, or a damaged file: nothing to compare with
                return None
            known = [(query, answer) for query, answer in zip(batch, truth, strict=True) if _clear(kind, answer)]
            right += sum(kind.agree(mine[query]["answer"], answer) for query, answer in known if answer)
            clear += len(known)
    return (right, clear) if clear else None


def _clear(kind: Kind, answer: Answer | None) -> bool:
    return answer is not None and kind.clear(answer)
