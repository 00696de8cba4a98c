"""Chooses the next questions of a labeller: open ones, and as checks her own again or ones with a known answer."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from prefrl.config.settings import TeacherConfig
from prefrl.kinds import KINDS
from prefrl.labelling.access import Session
from prefrl.labelling.writes import Writes
from prefrl.rendering.clips import clip_of, clips_ready
from prefrl.store import lookup
from prefrl.store.lookup import Open, Place
from prefrl.store.store import LabelStore

LEASE = 60.0  # seconds; an open page renews it
FRESH = 1.0  # seconds for which a list of open questions is used
GAP = 10  # own answers between a question and its repetition
IN_VIEW = 500  # open questions considered: those that many people hold at once, and the next ones
MOST_WISHES = 48
TRIES = 20  # questions considered for one repetition


@dataclass(frozen=True)
class Offer:
    """A question to display. purpose: new, repeat (her own), gold (its answer is known), again (somebody else's)"""

    place: Place
    order: list[int]  # at each place displayed: which of the stored segments
    purpose: str
    clips: list[dict[str, Any]] | None


class Questions:
    """Chooses, leases and displays questions. Thread-safe."""

    def __init__(
        self, store: LabelStore, folder: Path, writes: Writes, settings: TeacherConfig, rng: Random | None = None
    ):
        """settings: which shares of what is shown are checks"""
        self.store, self.folder, self.writes = store, folder, writes
        self.settings, self.rng = settings, rng or Random()
        self._choosing = threading.Lock()
        self._open: list[Open] = []
        self._read_at = -FRESH
        self._promised: Counter[int] = Counter()  # chosen for somebody, and not yet leased
        self._wishes: list[int] = []

    def next(self, session: Session, want: int, holding: Iterable[int], again: bool = False) -> list[dict[str, Any]]:
        """Lease up to `want` questions whose clips are ready, and return them as the page displays them."""
        with self._choosing:
            offers = self._again(session, want, set(holding)) if again else self._new(session, want, set(holding))
            promised = Counter(offer.place.query for offer in offers if offer.purpose == "new")
            self._promised = self._promised + promised
        try:
            return self.show(session, offers, want)
        finally:
            with self._choosing:
                self._promised = self._promised - promised

    def show(self, session: Session, offers: list[Offer], most: int) -> list[dict[str, Any]]:
        """Lease the offered questions that nobody else holds, record their display, and return them as messages."""
        if not offers:
            return []
        return [
            _message(offer, ticket) for offer, ticket in self.writes.do(lambda: self._displayed(session, offers, most))
        ]

    def show_again(self, session: Session, offer: Offer) -> dict[str, Any]:
        """Show a question whose answer was just withdrawn, whoever holds its lease."""

        def job() -> str:
            self.store.leases.take(session.id, [offer.place.query], 1, LEASE, time.time())
            return self._record_display(session, offer)

        return _message(offer, self.writes.do(job))

    def _displayed(self, session: Session, offers: list[Offer], most: int) -> list[tuple[Offer, str]]:
        """Lease and record displays. Second opinions need no lease: nothing is lost if two people give one."""
        others = [offer for offer in offers if offer.purpose != "new"][:most]
        fresh = [offer.place.query for offer in offers if offer.purpose == "new"]
        taken = self.store.leases.take(session.id, fresh, most - len(others), LEASE, time.time()) if fresh else []
        kept = [offer for offer in offers if offer in others or offer.place.query in taken]
        return [(offer, self._record_display(session, offer)) for offer in kept]

    def _record_display(self, session: Session, offer: Offer) -> str:
        """Record a display. Returns its ticket."""
        display = {"query_id": offer.place.query, "order": offer.order, "purpose": offer.purpose}
        ticket = secrets.token_urlsafe(16)
        self.store.displays.add([{"ticket": ticket, "labeller": session.labeller, **display}])
        return ticket

    def clips(self, place: Place, order: Sequence[int]) -> list[dict[str, Any]] | None:
        """The clips as the page plays them, in the order displayed; None if one is missing or damaged."""
        clips = [clip_of(self.folder, place.file, place.row, segment) for segment in order]
        return None if None in clips else [_playable(clip) for clip in clips if clip]

    def taken(self, query: int, labeller: str) -> None:
        """Note that this labeller has answered this question."""
        for one in self._open:
            if one.place.query == query and labeller not in one.judges:
                one.judges, one.wanted = {*one.judges, labeller}, one.wanted - 1
        self._open = [one for one in self._open if one.wanted > 0]

    def closed(self, query: int) -> None:
        """Note that this question is closed."""
        self._open = [one for one in self._open if one.place.query != query]

    def counts(self) -> tuple[int, int]:
        """Of the next open questions, how many have their clips drawn and how many do not."""
        clips = [one.place.clips for one in self._queue()]
        ready = sum(clips_ready(self.folder, clips))
        return ready, len(clips) - ready

    def renew(self, session: Session, ids: list[int]) -> None:
        """Renew the leases of these questions."""
        self.writes.do(lambda: self.store.leases.renew(session.id, ids, LEASE, time.time()))

    def release(self, session: Session) -> None:
        """Release all leases of this session."""
        self.writes.do(lambda: self.store.leases.release(session.id))

    def wish(self, missing: Iterable[int]) -> None:
        """Request clips of questions that the render worker would not draw unasked."""
        wishes = list(missing)[:MOST_WISHES]
        if wishes and wishes != self._wishes:
            self._wishes = wishes
            self.writes.do(lambda: self.store.notices.post("wanted", {"queries": wishes}))

    def _queue(self) -> list[Open]:
        now = time.monotonic()
        if now - self._read_at > FRESH:
            questions = lookup.open_questions(self.store, IN_VIEW)
            self._open, self._read_at = [one for one in questions if one.place.kind in KINDS], now
        return self._open

    def _new(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        ready = self._ready(session, want, holding)
        if not ready:
            return []
        new = min(want, len(ready))
        for other in self._checks(session, new, holding):  # one chance for each that it may take the place of
            ready.insert(self.rng.randint(0, new), other)
        return ready

    def _ready(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Open questions with all clips drawn and not leased by enough others; two spare, as others may lease them first."""
        promised = self._promised  # read before the leases: a question no longer promised is leased by then
        held = promised + self.store.leases.held(session.id, time.time())
        free = [
            one
            for one in self._queue()
            if held[one.place.query] < one.wanted
            and one.place.query not in holding
            and session.labeller not in one.judges
        ]
        judged = {one.place.query for one in free if one.judges}  # another order, to average out position bias
        ways = (
            (place, self._any_order(place) if place.query in judged else list(range(place.segments)))
            for place in (one.place for one in free)
        )
        return self._drawable(ways, "new", want + 2)

    def _drawable(self, ways: Iterable[tuple[Place, list[int]]], purpose: str, most: int) -> list[Offer]:
        """Offers of the first `most` questions whose clips are drawn. ways: pairs of a question and an order of its clips"""
        offers: list[Offer] = []
        for place, order in ways:
            if len(offers) == most:
                break
            if place.kind in KINDS and (clips := self.clips(place, order)):
                offers.append(Offer(place, order, purpose, clips))
        return offers

    def _any_order(self, place: Place) -> list[int]:
        """A random order of the segments."""
        return self.rng.sample(range(place.segments), place.segments)

    def _other_order(self, place: Place, order: list[int]) -> list[int]:
        """A random order other than this one; the same for a single segment."""
        if place.segments < 2:
            return order
        while (other := self._any_order(place)) == order:
            pass
        return other

    def _checks(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Checks that replace new questions at random: repetitions, and questions whose answer is known."""
        s, draws = self.settings, [self.rng.random() for _ in range(want)]
        reordered = sum(draw < s.mirror for draw in draws)
        repeated = sum(s.mirror <= draw < s.mirror + s.repeat for draw in draws)
        known = sum(s.mirror + s.repeat <= draw < s.mirror + s.repeat + s.gold for draw in draws)
        offers = self._own(session, GAP, reordered, holding, reorder=True) if reordered else []
        seen = holding | {offer.place.query for offer in offers}
        offers += self._own(session, GAP, repeated, seen, reorder=False) if repeated else []
        if known:
            offers += self._of_others(lookup.known_places(self.store, session.labeller, TRIES), "gold", known, holding)
        return offers

    def _again(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Questions that have an answer already: those answered by others first."""
        theirs = lookup.answered_by_others(self.store, session.labeller, 10 * TRIES)
        offers = self._of_others(theirs, "again", want, holding)
        if len(offers) < want:
            offers += self._own(session, 0, want - len(offers), holding, reorder=True)
        if len(offers) < want:
            offered = {offer.place.query for offer in offers} | holding
            self.wish(place.query for place in theirs if place.query not in offered)
        return offers

    def _own(self, session: Session, gap: int, want: int, holding: set[int], reorder: bool) -> list[Offer]:
        """Questions the labeller answered once, at least `gap` answers ago. reorder: with the clips in another order"""
        given = lookup.given_once(self.store, session.labeller)
        old = [one for one in given[: max(0, len(given) - gap)] if one.place.query not in holding]
        some = self.rng.sample(old, min(len(old), TRIES))
        ways = ((one.place, self._other_order(one.place, one.order) if reorder else one.order) for one in some)
        return self._drawable(ways, "repeat", want)

    def _of_others(self, places: list[Place], purpose: str, want: int, holding: set[int]) -> list[Offer]:
        """Offers of these questions, with their clips in random order."""
        free = (place for place in places if place.query not in holding and place.kind in KINDS)
        return self._drawable(((place, self._any_order(place)) for place in free), purpose, want)


def _message(offer: Offer, ticket: str) -> dict[str, Any]:
    """A question as sent to the page. Nothing in it distinguishes a repetition from a new question."""
    return {"query": offer.place.query, "ticket": ticket, "kind": offer.place.kind, "clips": offer.clips}


def _playable(clip: dict[str, Any]) -> dict[str, Any]:
    properties = {name: clip[name] for name in ("frames", "columns", "width", "height", "fps", "pixelated")}
    return {"url": f"/clips/{clip['clip']}.webp", **properties}
