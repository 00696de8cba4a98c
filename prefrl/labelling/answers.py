"""Takes answers and corrections. Each is stored once however often it is sent, and on disk before it is acknowledged."""

from __future__ import annotations

import json
import math
from typing import Any

from prefrl.kinds.views import model_view, preference, same
from prefrl.labelling.access import Caller, Session
from prefrl.labelling.messages import Answer, Flag, Revision
from prefrl.labelling.questions import Offer, Questions
from prefrl.labelling.refusals import Refusal
from prefrl.labelling.writes import Writes
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.store.tables import JUDGEMENTS

Reply = tuple[dict[str, Any], int]
MEASURED = ("decision_ms", "shown_ms", "loops", "speed", "revealed")
ANSWERED_ALREADY = "somebody else answered this one meanwhile; yours is kept as a second opinion"


class Intake:
    """The way from the page into the store."""

    def __init__(self, store: LabelStore, questions: Questions, writes: Writes):
        self.store, self.questions, self.writes = store, questions, writes

    def answer(self, caller: Caller, session: Session, given: Answer) -> Reply:
        """The answer to a display: 201, 200 when it came before, 409 if another's answer stands already."""
        display = self._display(caller, session, given)
        told = preference(given.choice, display["mirrored"])
        predicted = self.store.notices.predictions([given.query]).get(given.query)
        kind = "answer" if display["purpose"] == "new" else "opinion"
        answer = {
            "labeller": session.labeller, "keys": [given.ticket], "kind": kind, "first_only": True,
            "response_seconds": None if given.decision_ms is None else [given.decision_ms / 1000],
            "details": [_details(session, given, display, predicted)],
        }  # fmt: skip
        row, duplicate = self.writes.do(lambda: self._stored(session, given, told, answer))
        self.questions.taken(given.query, session.labeller)
        model = model_view(predicted, given.choice, display["mirrored"])
        body = {"seq": row["seq"], "duplicate": duplicate, "model": model}
        if kind == "answer" and row["kind"] == "opinion" and not lookup.was_wanted(self.store, row):
            return {**Refusal("answered_already", ANSWERED_ALREADY).body, **body}, 409
        return body, 200 if duplicate else 201

    def _stored(
        self, session: Session, given: Answer, told: float, answer: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """The row of this ticket, and whether it was there before."""
        row = lookup.by_key(self.store, given.ticket)
        if row is None:
            self.store.answer([given.query], [told], **answer)
            self.store.leases.release(session.id, [given.query])
            return lookup.by_key(self.store, given.ticket) or {}, False
        if not same(row["preference"], told):
            raise Refusal("ticket_used", f"this display was answered otherwise; revise answer {row['seq']} instead")
        return row, True

    def revise(self, caller: Caller, session: Session, seq: int, given: Revision) -> Reply:
        """Another choice in place of an earlier one."""

        def job() -> Reply:
            old = self._own_answer(caller, session, seq)
            about = lookup.shown(old["details"])
            told = preference(given.choice, about["mirrored"])
            key, done = self._correction(old, given.ticket, old["kind"], told)
            if done:
                return {"seq": done}, 200
            details = json.dumps({**about, "session": session.id, "revised": True})
            return {"seq": self.store.revise(seq, told, labeller=session.labeller, key=key, details=details)}, 201

        return self.writes.do(job)

    def withdraw(self, caller: Caller, session: Session, seq: int, ticket: str) -> Reply:
        """Take an answer back, and show its question again as it was shown."""

        def job() -> tuple[dict[str, Any], int, int]:
            old = self._own_answer(caller, session, seq)
            key, done = self._correction(old, ticket, "withdrawal", None)
            if done:
                return old, done, 200
            return old, self.store.withdraw(seq, labeller=session.labeller, key=key), 201

        old, done, status = self.writes.do(job)
        about = lookup.shown(old["details"])
        place = lookup.Place(old["query_id"], old["segments_file"], old["row"])
        offer = Offer(place, about["mirrored"], about["purpose"], self.questions.clips(place, about["mirrored"]))
        return {"seq": done, "question": self.questions.show_again(session, offer)}, status

    def known(self, session: Session, seq: int, known: bool) -> None:
        """Check labellers by this answer from now on, or no longer."""

        def job() -> None:
            row = lookup.by_seq(self.store, seq)
            if row is None or row["kind"] not in JUDGEMENTS or row["superseded_by"] is not None:
                raise Refusal("unknown_answer", f"there is no answer {seq} that stands")
            if row["preference"] not in (0.0, 1.0):
                raise Refusal("invalid", f"answer {seq} prefers neither clip; only a clear answer can be known")
            told, before = row["preference"] if known else math.nan, lookup.truth(self.store, [row["query_id"]])
            if before:
                self.store.revise(before[row["query_id"]]["seq"], told, labeller=session.labeller)
            elif known:
                self.store.answer(
                    [row["query_id"]],
                    [told],
                    labeller=session.labeller,
                    kind="truth",
                    keys=[f"{row['query_id']}:truth"],
                )

        self.writes.do(job)

    def flag(self, caller: Caller, session: Session, flag: Flag) -> None:
        """Ask nobody this question any more."""
        if caller.role != "experimenter" and not self.store.displays.seen(flag.query, session.labeller):
            raise Refusal("not_yours", f"question {flag.query} was never shown to {session.labeller}")
        if not lookup.places(self.store, [flag.query]):
            raise Refusal("unknown_question", f"there is no question {flag.query}")
        reason = f"flagged: {flag.note}" if flag.note else "flagged"
        self.writes.do(lambda: self.store.close_questions([flag.query], reason))
        self.questions.closed(flag.query)

    def _display(self, caller: Caller, session: Session, given: Answer) -> dict[str, Any]:
        display = display_of(self.store, caller, session, given.ticket)
        if display["query_id"] != given.query:
            raise Refusal("ticket_used", f"this ticket belongs to question {display['query_id']}, not {given.query}")
        return display

    def _own_answer(self, caller: Caller, session: Session, seq: int) -> dict[str, Any]:
        old = own_answer(self.store, caller, session, seq)
        if old["kind"] not in JUDGEMENTS:
            raise Refusal("superseded", f"{seq} is a {old['kind']}; answer the question anew")
        return old

    def _correction(self, old: dict[str, Any], ticket: str, kind: str, told: float | None) -> tuple[str, int | None]:
        """The key of a correction, and its number if it was stored before."""
        key = f"{old['seq']}:{ticket}"
        stored = lookup.by_key(self.store, key)
        if stored is None and old["superseded_by"] is not None:
            by = old["superseded_by"]
            raise Refusal("superseded", f"answer {old['seq']} was corrected by {by} already; correct {by}", by=by)
        if stored and not (stored["kind"] == kind and same(stored["preference"], told)):
            raise Refusal("ticket_used", f"this ticket made another correction, {stored['seq']}")
        return key, stored["seq"] if stored else None


def display_of(store: LabelStore, caller: Caller, session: Session, ticket: str) -> dict[str, Any]:
    """What was shown with a ticket, to this person; the experimenter may name anybody's."""
    display = store.displays.find(ticket)
    if display is None:
        raise Refusal("unknown_ticket", "no question was shown with this ticket")
    if display["labeller"] != session.labeller and caller.role != "experimenter":
        raise Refusal("not_yours", f"this question was shown to {display['labeller']}, not to {session.labeller}")
    return display


def own_answer(store: LabelStore, caller: Caller, session: Session, seq: int) -> dict[str, Any]:
    """An answer of this person; of anybody, for the experimenter."""
    found = lookup.by_seq(store, seq)
    if found is None:
        raise Refusal("unknown_answer", f"there is no answer {seq}")
    if found["labeller"] != session.labeller and caller.role != "experimenter":
        raise Refusal("not_yours", f"answer {seq} is somebody else's; only the experimenter may see or correct it")
    return found


def _details(session: Session, given: Answer, display: dict[str, Any], predicted: dict[str, Any] | None) -> str:
    """How it was shown, and what the model predicted before it could know the answer: for honest statistics."""
    model = predicted and {"version": predicted["model_version"], "probability": predicted["probability"]}
    shown = {name: display[name] for name in ("mirrored", "purpose")}
    measured = {name: getattr(given, name) for name in MEASURED}
    return json.dumps({"session": session.id, **shown, **measured, "model": model})
