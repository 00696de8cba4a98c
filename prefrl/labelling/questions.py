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

from prefrl.config.settings import TeacherConfig
from prefrl.kinds import KINDS
from prefrl.labelling.access import Session
from prefrl.labelling.messages import DisplayedQuestion, PlayableClip
from prefrl.labelling.writes import Writes
from prefrl.rendering.clip_cache import CachedClip, clip_of, clips_ready
from prefrl.store import lookup
from prefrl.store.lookup import Open, Place
from prefrl.store.store import LabelStore

LEASE = 60.0  # seconds; an open page renews it
FRESH = 1.0  # seconds for which a list of open questions is used
GAP = 10  # own answers between a question and its repetition
IN_VIEW = 500  # open questions considered: those that many people hold at once, and the next ones
MOST_REQUESTED = 48
TRIES = 20  # questions considered for one repetition


@dataclass(frozen=True)
class Offer:
    """A question to display. purpose: new, repeat (her own), gold (its answer is known), again (somebody else's)"""

    place: Place
    order: list[int]  # at each place displayed: which of the stored segments
    purpose: str
    clips: list[PlayableClip] | None


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
        self._requested: list[int] = []

    def next(self, session: Session, want: int, holding: Iterable[int], again: bool = False) -> list[DisplayedQuestion]:
        """Lease up to `want` questions whose clips are ready, and return them as the page displays them."""
        choose = self._again if again else self._new
        with self._choosing:
            offers = choose(session, want, set(holding))
            promised = Counter(offer.place.query for offer in offers if offer.purpose == "new")
            self._promised = self._promised + promised
        try:
            return self.writes.do(lambda: self._displayed(session, offers, want)) if offers else []
        finally:
            with self._choosing:
                self._promised = self._promised - promised

    def _displayed(self, session: Session, offers: list[Offer], most: int) -> list[DisplayedQuestion]:
        """Lease those that nobody else holds, and display them. Second opinions need no lease: two are no loss."""
        others = [offer for offer in offers if offer.purpose != "new"][:most]
        fresh = [offer.place.query for offer in offers if offer.purpose == "new"]
        taken = self.store.leases.take(session.id, fresh, most - len(others), LEASE, time.time()) if fresh else []
        return [self._display(session, offer) for offer in offers if offer in others or offer.place.query in taken]

    def _display(self, session: Session, offer: Offer) -> DisplayedQuestion:
        """Record a display. Nothing in what is sent to the page distinguishes a repetition from a new question."""
        query, ticket = offer.place.query, secrets.token_urlsafe(16)
        display = {"query_id": query, "order": offer.order, "purpose": offer.purpose}
        self.store.displays.add([{"ticket": ticket, "labeller": session.labeller, **display}])
        return {"query": query, "ticket": ticket, "kind": offer.place.kind, "clips": offer.clips}

    def show_again(self, session: Session, place: Place, order: list[int], purpose: str) -> DisplayedQuestion:
        """Show a question whose answer was just withdrawn, whoever holds its lease."""
        offer = Offer(place, order, purpose, self.clips(place, order))

        def job() -> DisplayedQuestion:
            self.store.leases.take(session.id, [place.query], 1, LEASE, time.time())
            return self._display(session, offer)

        return self.writes.do(job)

    def clips(self, place: Place, order: Sequence[int]) -> list[PlayableClip] | None:
        """The clips as the page plays them, in the order displayed; None if one is missing or damaged."""
        clips = [clip_of(self.folder, place.file, place.row, segment) for segment in order]
        return None if None in clips else [_playable(clip) for clip in clips if clip]

    def answered(self, query: int, labeller: str) -> None:
        """Note that this labeller has answered this question."""
        for question in self._open:
            if question.place.query == query and labeller not in question.judges:
                question.judges, question.wanted = {*question.judges, labeller}, question.wanted - 1
        self._open = [question for question in self._open if question.wanted > 0]

    def closed(self, query: int) -> None:
        """Note that this question is closed."""
        self._open = [question for question in self._open if question.place.query != query]

    def counts(self) -> tuple[int, int]:
        """Of the next open questions, how many have their clips drawn and how many do not."""
        ready = clips_ready(self.folder, [question.place.clips for question in self._queue()])
        return sum(ready), len(ready) - sum(ready)

    def renew(self, session: Session, ids: list[int]) -> None:
        """Renew the leases of these questions."""
        self.writes.do(lambda: self.store.leases.renew(session.id, ids, LEASE, time.time()))

    def release(self, session: Session) -> None:
        """Release all leases of this session."""
        self.writes.do(lambda: self.store.leases.release(session.id))

    def request_clips(self, missing: Iterable[int]) -> None:
        """Request clips of questions that the render worker would not draw unasked."""
        requested = list(missing)[:MOST_REQUESTED]
        if requested and requested != self._requested:
            self._requested = requested
            self.writes.do(lambda: self.store.notices.post("wanted", {"queries": requested}))

    def _queue(self) -> list[Open]:
        now = time.monotonic()
        if now - self._read_at > FRESH:
            questions = lookup.open_questions(self.store, IN_VIEW)
            self._open, self._read_at = [question for question in questions if question.place.kind in KINDS], now
        return self._open

    def _new(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        ready = self._ready(session, want, holding)
        new = min(want, len(ready))
        for check in self._checks(session, new, holding):  # one chance for each that it may take the place of
            ready.insert(self.rng.randint(0, new), check)
        return ready

    def _ready(self, session: Session, want: int, holding: set[int]) -> list[Offer]:
        """Open questions with all clips drawn and not leased by enough others; two spare, as others may lease them first."""
        promised = self._promised  # read before the leases: a question no longer promised is leased by then
        held = promised + self.store.leases.held(session.id, time.time())
        free = [
            question
            for question in self._queue()
            if held[question.place.query] < question.wanted
            and question.place.query not in holding
            and session.labeller not in question.judges
        ]
        ordered = (  # a second judge sees another order, to average out position bias
            (
                question.place,
                self._any_order(question.place) if question.judges else list(range(question.place.segments)),
            )
            for question in free
        )
        return self._drawable(ordered, "new", want + 2)

    def _drawable(self, ordered: Iterable[tuple[Place, list[int]]], purpose: str, most: int) -> list[Offer]:
        """Offers of the first `most` questions whose clips are drawn. ordered: questions, each with an order of its clips"""
        offers: list[Offer] = []
        for place, order in ordered:
            if len(offers) == most:
                break
            if place.kind in KINDS and (clips := self.clips(place, order)):
                offers.append(Offer(place, order, purpose, clips))
        return offers

    def _any_order(self, place: Place) -> list[int]:
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
            self.request_clips(place.query for place in theirs if place.query not in offered)
        return offers

    def _own(self, session: Session, gap: int, want: int, holding: set[int], reorder: bool) -> list[Offer]:
        """Questions the labeller answered once, at least `gap` answers ago. reorder: with the clips in another order"""
        given = lookup.given_once(self.store, session.labeller)
        old = [answer for answer in given[: max(0, len(given) - gap)] if answer.place.query not in holding]
        some = self.rng.sample(old, min(len(old), TRIES))
        ordered = ((own.place, self._other_order(own.place, own.order) if reorder else own.order) for own in some)
        return self._drawable(ordered, "repeat", want)

    def _of_others(self, places: list[Place], purpose: str, want: int, holding: set[int]) -> list[Offer]:
        """Offers of these questions, with their clips in random order."""
        free = (place for place in places if place.query not in holding and place.kind in KINDS)
        return self._drawable(((place, self._any_order(place)) for place in free), purpose, want)


def _playable(clip: CachedClip) -> PlayableClip:
    return {
        "url": f"/clips/{clip['clip']}.webp", "frames": clip["frames"], "columns": clip["columns"],
        "width": clip["width"], "height": clip["height"], "fps": clip["fps"], "pixelated": clip["pixelated"],
    }  # fmt: skip
