"""Which question a labeller sees next: open ones, and now and then her own again, or one whose answer is known."""

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

LEASE = 60.0  # seconds; a page that lives renews it
FRESH = 1.0  # seconds for which a list of open questions is used
GAP = 10  # own answers between a question and its repetition
IN_VIEW = 500  # open questions looked at: what many people hold at once, and the next ones
MOST_WISHES = 48
TRIES = 20  # questions looked at for one repetition


@dataclass(frozen=True)
class Offer:
    """A question as it will be shown. purpose: new, repeat (her own), gold (its answer is known), again (somebody else's)"""

    place: Place
    order: list[int]  # at each place displayed: which of the stored segments
    purpose: str
    clips: list[dict[str, Any]] | None


class Questions:
    """Chooses, leases and displays questions. Any number of threads may ask."""

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
        """Lease up to `want` questions whose clips are ready, and say how to show them."""
        with self._choosing:
            offers = self._second(session, want, set(holding)) if again else self._first(session, want, set(holding))
            promised = Counter(offer.place.query for offer in offers if offer.purpose == "new")
            self._promised = self._promised + promised
        try:
            return self.show(session, offers, want)
        finally:
            with self._choosing:
                self._promised = self._promised - promised

    def show(self, session: Session, offers: list[Offer], most: int) -> list[dict[str, Any]]:
        """Lease what nobody else holds, note how it is shown, and return it as the page gets it."""
        if not offers:
            return []
        return [
            _told(offer, ticket) for offer, ticket in self.writes.do(lambda: self._displayed(session, offers, most))
        ]

    def show_again(self, session: Session, offer: Offer) -> dict[str, Any]:
        """Show what this labeller has just taken back, whoever holds it."""

        def job() -> str:
            self.store.leases.take(session.id, [offer.place.query], 1, LEASE, time.time())
            return self._note(session, offer)

        return _told(offer, self.writes.do(job))

    def _displayed(self, session: Session, offers: list[Offer], most: int) -> list[tuple[Offer, str]]:
        """Second opinions need no lease: nothing is lost if two people give one."""
        others = [offer for offer in offers if offer.purpose != "new"][:most]
        fresh = [offer.place.query for offer in offers if offer.purpose == "new"]
        taken = self.store.leases.take(session.id, fresh, most - len(others), LEASE, time.time()) if fresh else []
        kept = [offer for offer in offers if offer in others or offer.place.query in taken]
        return [(offer, self._note(session, offer)) for offer in kept]

    def _note(self, session: Session, offer: Offer) -> str:
        """Note a display. Returns its ticket."""
        about = {"query_id": offer.place.query, "order": offer.order, "purpose": offer.purpose}
        ticket = secrets.token_urlsafe(16)
        self.store.displays.add([{"ticket": ticket, "labeller": session.labeller, **about}])
        return ticket

    def clips(self, place: Place, order: Sequence[int]) -> list[dict[str, Any]] | None:
        """The clips as the page plays them, in the order displayed; None unless all are there and undamaged."""
        found = [clip_of(self.folder, place.file, place.row, segment) for segment in order]
        return None if None in found else [_playable(clip) for clip in found if clip]

    def taken(self, query: int, labeller: str) -> None:
        """This labeller has judged this one now."""
        for one in self._open:
            if one.place.query == query and labeller not in one.judges:
                one.judges, one.wanted = {*one.judges, labeller}, one.wanted - 1
        self._open = [one for one in self._open if one.wanted > 0]

    def closed(self, query: int) -> None:
        """Nobody is to judge this one any more."""
        self._open = [one for one in self._open if one.place.query != query]

    def counts(self) -> tuple[int, int]:
        """Of the open questions that come next, how many are drawn and how many are not."""
        here = [one.place.clips for one in self._queue()]
        ready = sum(clips_ready(self.folder, here))
        return ready, len(here) - ready

    def renew(self, session: Session, ids: list[int]) -> None:
        """Hold these for another while."""
        self.writes.do(lambda: self.store.leases.renew(session.id, ids, LEASE, time.time()))

    def release(self, session: Session) -> None:
        """Give back all."""
        self.writes.do(lambda: self.store.leases.release(session.id))

    def wish(self, missing: Iterable[int]) -> None:
        """Ask the render worker for clips of questions that it would not draw by itself."""
        wishes = list(missing)[:MOST_WISHES]
        if wishes and wishes != self._wishes:
            self._wishes = wishes
            self.writes.do(lambda: self.store.notices.post("wanted", {"queries": wishes}))

    def _queue(self) -> list[Open]:
        now = time.monotonic()
        if now - self._read_at > FRESH:
            found = lookup.open_questions(self.store, IN_VIEW)
            self._open, self._read_at = [one for one in found if one.place.kind in KINDS], now
        return self._open

    def _first(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        ready = self._ready(session, want, holding)
        if not ready:
            return []
        new = min(want, len(ready))
        for other in self._others(session, new, holding):  # one chance for each that it may take the place of
            ready.insert(self.rng.randint(0, new), other)
        return ready

    def _ready(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Open questions with all clips that are not held by enough others; a few more, since another may be faster."""
        promised = self._promised  # before the leases: what is promised no more is leased by then
        held = promised + self.store.leases.held(session.id, time.time())
        free = [
            one
            for one in self._queue()
            if held[one.place.query] < one.wanted
            and one.place.query not in holding
            and session.labeller not in one.judges
        ]
        judged = {one.place.query for one in free if one.judges}  # a liking for a place is not shared
        ways = (
            (one, self._any(one) if one.query in judged else list(range(one.segments)))
            for one in (each.place for each in free)
        )
        return self._drawable(ways, "new", want + 2)

    def _drawable(self, ways: Iterable[tuple[Place, list[int]]], purpose: str, most: int) -> list[Offer]:
        """The first of these that can be shown. ways: questions, and the orders in which to show them"""
        offers: list[Offer] = []
        for place, order in ways:
            if len(offers) == most:
                break
            if place.kind in KINDS and (clips := self.clips(place, order)):
                offers.append(Offer(place, order, purpose, clips))
        return offers

    def _any(self, place: Place) -> list[int]:
        """Any order of its segments."""
        return self.rng.sample(range(place.segments), place.segments)

    def _other(self, place: Place, order: list[int]) -> list[int]:
        """Any order but this one; that of a single segment."""
        if place.segments < 2:
            return order
        while (found := self._any(place)) == order:
            pass
        return found

    def _others(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Repetitions and questions whose answer is known, which take the place of new questions by chance."""
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

    def _second(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Questions that are answered already, first those of others."""
        theirs = lookup.answered_by_others(self.store, session.labeller, 10 * TRIES)
        offers = self._of_others(theirs, "again", want, holding)
        if len(offers) < want:
            offers += self._own(session, 0, want - len(offers), holding, reorder=True)
        if len(offers) < want:
            offered = {offer.place.query for offer in offers} | holding
            self.wish(place.query for place in theirs if place.query not in offered)
        return offers

    def _own(self, session: Session, gap: int, want: int, holding: set[int], reorder: bool) -> list[Offer]:
        """What she judged once, at least `gap` answers ago. reorder: with its clips in another order"""
        given = lookup.given_once(self.store, session.labeller)
        old = [one for one in given[: max(0, len(given) - gap)] if one.place.query not in holding]
        some = self.rng.sample(old, min(len(old), TRIES))
        ways = ((one.place, self._other(one.place, one.order) if reorder else one.order) for one in some)
        return self._drawable(ways, "repeat", want)

    def _of_others(self, places: list[Place], purpose: str, want: int, holding: set[int]) -> list[Offer]:
        """Of these, in any order of their clips."""
        free = (place for place in places if place.query not in holding and place.kind in KINDS)
        return self._drawable(((place, self._any(place)) for place in free), purpose, want)


def _told(offer: Offer, ticket: str) -> dict[str, Any]:
    """Nothing here tells a repetition from a new question."""
    return {"query": offer.place.query, "ticket": ticket, "kind": offer.place.kind, "clips": offer.clips}


def _playable(clip: dict[str, Any]) -> dict[str, Any]:
    about = {name: clip[name] for name in ("frames", "columns", "width", "height", "fps", "pixelated")}
    return {"url": f"/clips/{clip['clip']}.webp", **about}
