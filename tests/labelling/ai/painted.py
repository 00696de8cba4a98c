"""Runs whose clips are painted: the better one, by the true reward, has more green."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from serving import ask
from serving import make_run as make_serving_run

from prefrl.rendering.clip_cache import write_clip
from prefrl.store import lookup
from prefrl.store.store import LabelStore


def make_run(folder: Path, asked: int = 6, contrary: Collection[int] = (), **settings) -> list[int]:
    """A run's folder with questions whose clips are painted; contrary: by place, those painted the other way round."""
    ids = make_serving_run(folder, asked, drawn=False, **settings)
    paint(folder, ids, contrary)
    return ids


def ask_more(folder: Path, count: int, seed: int) -> list[int]:
    ids = ask(folder, count, seed, drawn=False)
    paint(folder, ids)
    return ids


def paint(folder: Path, ids: list[int], contrary: Collection[int] = ()) -> None:
    with LabelStore.open(folder) as store:
        better = first_is_better(store, ids)
        places = lookup.places(store, ids)
    for number, id in enumerate(ids):
        for side in (0, 1):
            wins = bool(better[number]) == (side == 0)
            green = 200 if wins != (number in contrary) else 50
            frames = np.full((5, 8, 8, 3), (id % 256, green, side), np.uint8)
            write_clip(folder, places[id].file, places[id].row, side, frames, 20.0)


def first_is_better(store: LabelStore, ids: list[int]) -> np.ndarray:
    returns = store.queries(ids).segments.true_returns  # (Q, 2)
    return returns[:, 0] > returns[:, 1]


def stored_answers(folder: Path, labeller: str = "ai:eye-1") -> dict[int, float | None]:
    """The answers of a labeller, by question."""
    with LabelStore.open(folder) as store:
        return {row["query_id"]: row["preference"] for row in store.history() if row["labeller"] == labeller}
