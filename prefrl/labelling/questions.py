"""Which question a labeller sees next: open ones, and now and then her own again, or one whose answer is known."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from prefrl.config.settings import TeacherConfig
from prefrl.kinds.views import sides
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
    mirrored: bool
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
        about = {"query_id": offer.place.query, "mirrored": offer.mirrored, "purpose": offer.purpose}
        ticket = secrets.token_urlsafe(16)
        self.store.displays.add([{"ticket": ticket, "labeller": session.labeller, **about}])
        return ticket

    def clips(self, place: Place, mirrored: bool) -> list[dict[str, Any]] | None:
        """Both clips as the page plays them, in the order displayed; None unless both are there and undamaged."""
        pair = self.drawn(place, mirrored)
        return None if pair is None else [_playable(clip) for clip in pair]

    def drawn(self, place: Place, mirrored: bool) -> list[dict[str, Any]] | None:
        """Both clips as their folder's index describes them, in the order displayed."""
        pair = [clip_of(self.folder, place.file, place.row, side) for side in (0, 1)]
        return None if None in pair else sides(pair, mirrored)

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
        here = [(one.place.file, one.place.row) for one in self._queue()]
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
            self._open, self._read_at = lookup.open_questions(self.store, IN_VIEW), now
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
        """Open questions with both clips that are not held by enough others; a few more, since another may be faster."""
        promised = self._promised  # before the leases: what is promised no more is leased by then
        held = promised + self.store.leases.held(session.id, time.time())
        free = [
            one
            for one in self._queue()
            if held[one.place.query] < one.wanted
            and one.place.query not in holding
            and session.labeller not in one.judges
        ]
        turned = iter(
            [bool(one.judges) and self.rng.random() < 0.5 for one in free]
        )  # a liking for a side is not shared
        return self._drawable((one.place for one in free), "new", want + 2, lambda: next(turned))

    def _drawable(self, places: Iterable[Place], purpose: str, most: int, mirrored: Callable[[], bool]) -> list[Offer]:
        """The first of these that can be shown."""
        offers: list[Offer] = []
        for place in places:
            if len(offers) == most:
                break
            if clips := self.clips(place, turned := mirrored()):
                offers.append(Offer(place, turned, purpose, clips))
        return offers

    def _others(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Repetitions and questions whose answer is known, which take the place of new questions by chance."""
        s, draws = self.settings, [self.rng.random() for _ in range(want)]
        mirrored = sum(draw < s.mirror for draw in draws)
        repeated = sum(s.mirror <= draw < s.mirror + s.repeat for draw in draws)
        known = sum(s.mirror + s.repeat <= draw < s.mirror + s.repeat + s.gold for draw in draws)
        offers = self._own(session, GAP, mirrored, holding, turn=True) if mirrored else []
        seen = holding | {offer.place.query for offer in offers}
        offers += self._own(session, GAP, repeated, seen, turn=False) if repeated else []
        if known:
            offers += self._of_others(lookup.known_places(self.store, session.labeller, TRIES), "gold", known, holding)
        return offers

    def _second(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Questions that are answered already, first those of others."""
        theirs = lookup.answered_by_others(self.store, session.labeller, 10 * TRIES)
        offers = self._of_others(theirs, "again", want, holding)
        if len(offers) < want:
            offers += self._own(session, 0, want - len(offers), holding, turn=True)
        if len(offers) < want:
            offered = {offer.place.query for offer in offers} | holding
            self.wish(place.query for place in theirs if place.query not in offered)
        return offers

    def _own(self, session: Session, gap: int, want: int, holding: set[int], turn: bool) -> list[Offer]:
        """What she judged once, at least `gap` answers ago. turn: with the sides changed"""
        given = lookup.given_once(self.store, session.labeller)
        old = [one for one in given[: max(0, len(given) - gap)] if one.place.query not in holding]
        some = self.rng.sample(old, min(len(old), TRIES))
        turned = iter([(one.order == [1, 0]) != turn for one in some])
        return self._drawable((one.place for one in some), "repeat", want, lambda: next(turned))

    def _of_others(self, places: list[Place], purpose: str, want: int, holding: set[int]) -> list[Offer]:
        """Of these, with sides as they fall."""
        free = (place for place in places if place.query not in holding)
        return self._drawable(free, purpose, want, lambda: self.rng.random() < 0.5)


def _told(offer: Offer, ticket: str) -> dict[str, Any]:
    """Nothing here tells a repetition from a new question."""
    return {"query": offer.place.query, "ticket": ticket, "kind": "pair", "clips": offer.clips}


def _playable(clip: dict[str, Any]) -> dict[str, Any]:
    about = {name: clip[name] for name in ("frames", "columns", "width", "height", "fps", "pixelated")}
    return {"url": f"/clips/{clip['clip']}.webp", **about}
