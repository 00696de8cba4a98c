"""Past answers and the reward model's predictions, with the clips in the order in which the labeller saw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefrl.kinds import Answer, Kind, kind_of
from prefrl.labelling.messages import History, ModelView, PastAnswer
from prefrl.labelling.questions import Questions
from prefrl.labelling.reliability import Row
from prefrl.store import lookup
from prefrl.store.store import LabelStore

Prediction = dict[str, Any]
"""A prediction as the trainer stores it."""


def history(
    store: LabelStore, questions: Questions, labeller: str | None, before: int | None, limit: int, blind: bool = False
) -> History:
    """A page of answers, the latest first, of one labeller or of all. blind: hide which questions were checks"""
    rows = lookup.page(store, labeller, before, limit + 1)
    ids = [row["query_id"] for row in rows[:limit]]
    predictions = store.notices.predictions(ids)
    answers = [_past(row, questions, predictions.get(row["query_id"])) for row in rows[:limit]]
    truth = {} if blind else lookup.truth(store, ids)
    for answer in answers:
        answer["known"] = None if blind else truth.get(answer["query"], {}).get("answer") is not None
        if blind and answer["kind"] == "opinion":
            answer["kind"] = "answer"
    questions.request_clips(dict.fromkeys(answer["query"] for answer in answers if answer["clips"] is None))
    return {"answers": answers, "more": len(rows) > limit}


def _past(row: Row, questions: Questions, prediction: Prediction | None) -> PastAnswer:
    kind, details = kind_of(row["asked_kind"]), lookup.shown(row["details"], row["asked_kind"])
    withdrawn, order = row["kind"] == "withdrawal", details["order"]
    answer = kind.as_displayed(row["answer"], order)
    choice = None if withdrawn else kind.choice_of(answer)
    seconds = row["response_seconds"]
    return {
        "seq": row["seq"], "query": row["query_id"], "kind": row["kind"], "asked_kind": kind.name, "answer": answer,
        "words": "Withdrawn" if withdrawn else kind.words(answer), "choice": choice.word if choice else None,
        "clear": answer is not None and kind.clear(answer), "order": order,
        "labeller": row["labeller"], "at": row["answered_at"], "known": None,
        "decision_ms": None if seconds is None else 1000 * seconds,
        "standing": not withdrawn and row["superseded_by"] is None, "supersedes": row["supersedes"],
        "superseded_by": row["superseded_by"], "clips": questions.clips(lookup.place_of(row), order),
        "model": model_view(kind, prediction, answer, order), "reasons": _reasons(details),
    }  # fmt: skip


def _reasons(details: Row) -> list[str]:
    """An AI labeller's reason for each order of the clips. Untrusted: to be shown as text, not HTML."""
    reasons = []
    for reply in details["ai"]["orders"] if "ai" in details and not details.get("revised") else []:
        same = not reply.get("mirrored") and reply.get("order", details["order"]) == details["order"]
        order = "as shown here" if same else "in another order"  # release 1 stored `mirrored`
        reasons.append(f"{order}: {reply['said'] or 'no answer'}. {reply['reason']}")
    return reasons


def model_view(
    kind: Kind, prediction: Prediction | None, answer: Answer | None, order: Sequence[int]
) -> ModelView | None:
    """The prediction as the page shows it; None without one. answer: as displayed, to compare with the prediction"""
    if prediction is None or "chances" not in prediction:  # written by an earlier release
        return None
    chances = kind.displayed(prediction["chances"], order)
    return {
        "chances": chances, "rewards": [prediction["rewards"][segment] for segment in order],
        "agrees": kind.predicted_right(chances, answer), "version": prediction["model_version"],
    }  # fmt: skip


def details_of(prediction: Prediction | None) -> dict[str, object] | None:
    """The prediction as stored with an answer: chances about the stored order."""
    if prediction is None or "chances" not in prediction:
        return None
    return {"version": prediction["model_version"], "chances": prediction["chances"]}
