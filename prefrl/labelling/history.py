"""Past answers as their labeller saw them."""

from __future__ import annotations

from typing import Any

from prefrl.kinds.views import choice, model_view
from prefrl.labelling.questions import Questions
from prefrl.store import lookup
from prefrl.store.store import LabelStore


def history(
    store: LabelStore, questions: Questions, labeller: str | None, before: int | None, limit: int, blind: bool = False
) -> dict[str, Any]:
    """A page of answers, the latest first, of one labeller or of all. blind: nothing tells checks from other questions"""
    rows = lookup.page(store, labeller, before, limit + 1)
    thoughts = store.notices.predictions([row["query_id"] for row in rows[:limit]])
    answers = [_told(row, questions, thoughts.get(row["query_id"])) for row in rows[:limit]]
    truth = {} if blind else lookup.truth(store, [row["query_id"] for row in rows[:limit]])
    for answer, row in zip(answers, rows, strict=False):
        answer["known"] = None if blind else truth.get(row["query_id"], {}).get("preference") is not None
        if blind and answer["kind"] == "opinion":
            answer["kind"] = "answer"
    questions.wish(dict.fromkeys(answer["query"] for answer in answers if answer["clips"] is None))
    return {"answers": answers, "more": len(rows) > limit}


def _told(row: dict[str, Any], questions: Questions, thought: dict[str, Any] | None) -> dict[str, Any]:
    about = lookup.shown(row["details"])
    withdrawn, mirrored = row["kind"] == "withdrawal", about["mirrored"]
    chosen = None if withdrawn else choice(row["preference"], mirrored)
    seconds, place = row["response_seconds"], lookup.Place(row["query_id"], row["segments_file"], row["row"])
    return {
        "seq": row["seq"], "query": row["query_id"], "kind": row["kind"], "choice": chosen, "mirrored": mirrored,
        "labeller": row["labeller"], "at": row["answered_at"],
        "decision_ms": None if seconds is None else 1000 * seconds,
        "standing": not withdrawn and row["superseded_by"] is None, "supersedes": row["supersedes"],
        "superseded_by": row["superseded_by"], "clips": questions.clips(place, mirrored),
        "model": model_view(thought, chosen, mirrored), "reasons": _reasons(about),
    }  # fmt: skip


def _reasons(about: dict[str, Any]) -> list[str]:
    """What an AI said about each order of a pair. A stranger's text: to be shown as text."""
    orders = about["ai"]["orders"] if "ai" in about and not about.get("revised") else []
    way = {False: "as shown here", True: "with the sides changed"}
    return [f"{way[one['mirrored']]}: {one['said'] or 'no answer'}. {one['reason']}" for one in orders]
