"""Takes answers and corrections. Each is stored once however often it is sent, and on disk before it is acknowledged.

Answers come as their clips were displayed, and are stored about the segments in their stored order.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from prefrl.core.errors import UserError
from prefrl.kinds import Answer, Kind, kind_of
from prefrl.labelling import messages as m
from prefrl.labelling.access import Caller, Session
from prefrl.labelling.history import details_of, model_view
from prefrl.labelling.messages import Refusal
from prefrl.labelling.questions import Questions
from prefrl.labelling.reliability import Row
from prefrl.labelling.writes import Writes
from prefrl.store import lookup
from prefrl.store.lookup import place_of
from prefrl.store.store import LabelStore
from prefrl.store.tables import JUDGEMENTS

MEASURED = {"decision_ms", "shown_ms", "loops", "speed", "revealed"}
ANSWERED_ALREADY = "somebody else answered this one meanwhile; yours is kept as a second opinion"


class Intake:
    """Stores what the page sends: answers, revisions, withdrawals and flags."""

    def __init__(self, store: LabelStore, questions: Questions, writes: Writes):
        self.store, self.questions, self.writes = store, questions, writes

    def answer(self, caller: Caller, session: Session, given: m.FirstAnswer) -> m.Answered:
        """Store the answer to a display, unless it came before. Raises Refusal if another's answer stands already."""
        display = self._display(caller, session, given)
        kind = kind_of(display["asked_kind"])
        answer, order = _displayed(kind, given), display["order"]
        predicted = self.store.notices.predictions([given.query]).get(given.query)
        role = "answer" if display["purpose"] == "new" else "opinion"
        fields = {
            "labeller": session.labeller, "keys": [given.ticket], "kind": role, "first_only": True,
            "response_seconds": None if given.decision_ms is None else [given.decision_ms / 1000],
            "details": [json.dumps({
                "session": session.id, "order": order, "purpose": display["purpose"],
                **given.model_dump(include=MEASURED), "model": details_of(predicted),  # from before it knew the answer
            })],
        }  # fmt: skip
        row, duplicate = self.writes.do(lambda: self._stored(session, given, kind.stored(answer, order), fields))
        self.questions.answered(given.query, session.labeller)
        model = model_view(kind, predicted, answer, order)
        reply: m.Answered = {"seq": row["seq"], "duplicate": duplicate, "model": model}
        if role == "answer" and row["kind"] == "opinion" and not lookup.was_wanted(self.store, row):
            raise Refusal("answered_already", ANSWERED_ALREADY, **reply)
        return reply

    def _stored(self, session: Session, given: m.FirstAnswer, answer: Answer | None, fields: Row) -> tuple[Row, bool]:
        """The stored row of this ticket, and whether it is a duplicate."""
        row = lookup.by_key(self.store, given.ticket)
        if row is None:
            self.store.answer([given.query], [answer], **fields)
            self.store.leases.release(session.id, [given.query])
            return lookup.by_key(self.store, given.ticket) or {}, False
        if row["answer"] != answer:
            raise Refusal("ticket_used", f"this display was answered otherwise; revise answer {row['seq']} instead")
        return row, True

    def revise(self, caller: Caller, session: Session, seq: int, given: m.GivenAnswer) -> tuple[m.Revised, bool]:
        """Replace an earlier answer, which stays on record. Returns also whether this is new."""
        old = self._own_answer(caller, session, seq)
        kind, display = kind_of(old["asked_kind"]), lookup.shown(old["details"], old["asked_kind"])
        displayed = _displayed(kind, given)
        answer = kind.stored(displayed, display["order"])
        predicted = self.store.notices.predictions([old["query_id"]]).get(old["query_id"])
        details = json.dumps({**display, "session": session.id, "revised": True})

        def revise(key: str) -> int:
            return self.store.revise(seq, answer, labeller=session.labeller, key=key, details=details)

        done, new = self._correct(caller, session, seq, given.ticket, (old["kind"], answer), revise)
        return {"seq": done, "model": model_view(kind, predicted, displayed, display["order"])}, new

    def withdraw(self, caller: Caller, session: Session, seq: int, ticket: str) -> tuple[m.Withdrawn, bool]:
        """Withdraw an answer, and show its question again as it was shown. Returns also whether this is new."""
        old = self._own_answer(caller, session, seq)

        def withdraw(key: str) -> int:
            return self.store.withdraw(seq, labeller=session.labeller, key=key)

        done, new = self._correct(caller, session, seq, ticket, ("withdrawal", None), withdraw)
        display = lookup.shown(old["details"], old["asked_kind"])
        question = self.questions.show_again(session, place_of(old), display["order"], display["purpose"])
        return {"seq": done, "question": question}, new

    def known(self, session: Session, seq: int, known: bool) -> None:
        """Mark an answer as known to be right, to check labellers by it; or unmark it."""

        def job() -> None:
            row = lookup.by_seq(self.store, seq)
            if row is None or row["kind"] not in JUDGEMENTS or row["superseded_by"] is not None:
                raise Refusal("unknown_answer", f"there is no answer {seq} that stands")
            query, answer = row["query_id"], row["answer"]
            if answer is None or not kind_of(row["asked_kind"]).clear(answer):
                raise Refusal("invalid", f"answer {seq} is not clear; only a clear answer can be known")
            if before := lookup.truth(self.store, [query]):
                self.store.revise(before[query]["seq"], answer if known else None, labeller=session.labeller)
            elif known:
                key = f"{query}:truth"
                self.store.answer([query], [answer], labeller=session.labeller, kind="truth", keys=[key])

        self.writes.do(job)

    def flag(self, caller: Caller, session: Session, flag: m.Flag) -> None:
        """Close a question with a broken clip."""
        if caller.role != "experimenter" and not self.store.displays.seen(flag.query, session.labeller):
            raise Refusal("not_yours", f"question {flag.query} was never shown to {session.labeller}")
        if not lookup.places(self.store, [flag.query]):
            raise Refusal("unknown_question", f"there is no question {flag.query}")
        reason = f"flagged: {flag.note}" if flag.note else "flagged"
        self.writes.do(lambda: self.store.close_questions([flag.query], reason))
        self.questions.closed(flag.query)

    def _display(self, caller: Caller, session: Session, given: m.FirstAnswer) -> Row:
        display = self.store.displays.find(given.ticket)
        if display is None:
            raise Refusal("unknown_ticket", "no question was shown with this ticket")
        if display["labeller"] != session.labeller and caller.role != "experimenter":
            raise Refusal("not_yours", f"this question was shown to {display['labeller']}, not to {session.labeller}")
        if display["query_id"] != given.query:
            raise Refusal("ticket_used", f"this ticket belongs to question {display['query_id']}, not {given.query}")
        return display

    def _own_answer(self, caller: Caller, session: Session, seq: int) -> Row:
        old = lookup.by_seq(self.store, seq)
        if old is None:
            raise Refusal("unknown_answer", f"there is no answer {seq}")
        if old["labeller"] != session.labeller and caller.role != "experimenter":
            raise Refusal("not_yours", f"answer {seq} is somebody else's; only the experimenter may correct it")
        if old["kind"] not in JUDGEMENTS:
            raise Refusal("superseded", f"{seq} is a {old['kind']}; answer the question anew")
        return old

    def _correct(
        self, caller: Caller, session: Session, seq: int, ticket: str, correction: tuple[str, Answer | None],
        store: Callable[[str], int],
    ) -> tuple[int, bool]:  # fmt: skip
        """Store a correction (its kind and answer) by its key, unless it came before. Returns its number, and whether it is new."""

        def job() -> tuple[int, bool]:
            by = self._own_answer(caller, session, seq)["superseded_by"]
            stored = lookup.by_key(self.store, key)
            if stored is None and by is not None:
                raise Refusal("superseded", f"answer {seq} was corrected by {by} already; correct {by}", by=by)
            if stored and (stored["kind"], stored["answer"]) != correction:
                raise Refusal("ticket_used", f"this ticket made another correction, {stored['seq']}")
            return (stored["seq"], False) if stored else (store(key), True)

        key = f"{seq}:{ticket}"
        return self.writes.do(job)


def _displayed(kind: Kind, given: m.GivenAnswer) -> Answer | None:
    """The answer about the clips as displayed."""
    if "answer" in given.model_fields_set:
        try:
            return kind.checked(given.answer)
        except UserError as fault:
            raise Refusal("invalid", str(fault)) from fault
    choice = kind.chosen(given.choice or "")
    if choice is None:
        words = ", ".join(choice.word for choice in kind.choices)
        raise Refusal("invalid", f"choice: {given.choice!r} is no answer of kind {kind.name!r}; choose from {words}")
    return choice.answer
