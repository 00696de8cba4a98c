"""Gold questions, to check labellers: pairs so far apart by the true reward that their answer is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prefrl.core.data import Origins, Queries, Segments
from prefrl.core.streams import stream
from prefrl.kinds import kind_of
from prefrl.store.store import LabelStore
from prefrl.store.tables import GOLD
from prefrl.teachers.naming import stream_of, uid_of
from prefrl.teachers.oracle import Oracle

CLEAR = 2.0  # gap between the returns of a pair, in standard deviations of segment returns
LATELY = 100  # latest questions, over whose segments the standard deviation is taken


def ask_gold(
    store: LabelStore, queries: Queries, share: float, seed: int, origins: Callable[[Segments], Origins] | None = None
) -> None:
    """Ask about clear pairs among the segments of these questions, until they are a `share` of what people see.

    The clips are of the same age and kind as all others, so nothing but the answer sets such a question apart. It is
    outside the budget, and nothing is learned from it: the choice by true reward must not steer the learner.
    """
    kind = kind_of(queries.kind)
    if kind.segments != 2:  # only pairs have a gap between returns
        return
    segments, step = queries.segments.flat(), queries.step
    before = store.asked_queries(step, kind=kind.name)
    recent = store.queries(before[-LATELY:]).segments.true_returns
    pairs = clear_pairs(segments.true_returns, CLEAR * recent.std(), stream(seed, stream_of("gold", kind.name), step))
    gold = store.asked_queries(step - 1, gold=True, kind=kind.name)
    if not len(pairs := pairs[: max(0, round(len(before) * share / (1 - share)) - len(gold))]):
        return
    clear_queries = Queries(segments[pairs], np.full(len(pairs), np.nan), GOLD, step, queries.model_version, kind.name)
    names = [uid_of(kind.name, step, f"gold-{k}") for k in range(len(pairs))]
    ids = store.ask(clear_queries, names, origins(clear_queries.segments) if origins else None)
    truth = Oracle(stream(seed, "truth", step))(store.queries(ids))  # after a kill they may be there already
    clear = [(id, answer) for id, answer in zip(ids, truth, strict=True) if answer is not None and kind.clear(answer)]
    store.answer(
        [id for id, _ in clear], [answer for _, answer in clear], labeller="true reward", step=step, kind="truth",
        keys=[f"{id}:truth" for id, _ in clear],
    )  # fmt: skip


def clear_pairs(returns: np.ndarray, gap: float, rng: np.random.Generator) -> np.ndarray:
    """(P, 2) pairs of segments with returns at least `gap` apart, no segment in two of them, in random order and sides."""
    order, half = np.argsort(returns, kind="stable"), len(returns) // 2
    pairs = np.stack([order[:half], order[::-1][:half]], 1)  # the worst with the best, and so on inwards
    gaps = returns[pairs[:, 1]] - returns[pairs[:, 0]]
    return rng.permuted(rng.permutation(pairs[(gaps >= gap) & (gaps > 0)]), axis=1)
