"""The questions and answers of a recorded run, by the segments they show and by the step at which that run read them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace

from prefrl.core.data import Segments
from prefrl.core.errors import UserError
from prefrl.core.observations import shapes
from prefrl.store.contents import Contents, Row, files_of, read_contents, standing_rows
from prefrl.store.segment_files import SegmentFiles, digests
from prefrl.store.store import LabelStore

NEVER = 2**62  # the step of answers that came after the recorded trainer had read its last

Shown = tuple[bytes, ...]
"""Digests of the segments that a question shows, in its order."""


def shown_by(segments: Segments) -> list[Shown]:
    """Digests of the segments of each question: batch shape (Q, K) -> Q times K digests"""
    each, size = digests(segments.flat()), segments.true_rewards.shape[1]
    return [tuple(each[at : at + size]) for at in range(0, len(each), size)]


@dataclass(frozen=True)
class Event:
    """A recorded answer, correction or withdrawal; `row` as in the label store."""

    row: Row
    read_at: int  # the step at which the recorded trainer read it

    @property
    def seq(self) -> int:
        return int(self.row["seq"])


@dataclass(frozen=True)
class Match:
    """A recorded question that shows the same segments as a new one, perhaps in another order."""

    query: int
    kind: str
    order: list[int]  # which segment of the new question was the recorded one's first, second, ...


@dataclass
class Recording:
    """The questions and answers of a label store, as of when it was read."""

    events: list[Event] = field(default_factory=list)
    standing: dict[int, list[Event]] = field(default_factory=dict)  # by question: what nothing corrects or withdraws
    stale: dict[int, int] = field(default_factory=dict)  # by question: the step at which it expired
    capacities: list[tuple[int, int]] = field(default_factory=list)  # (step, the teacher's capacity from then on)
    origins: list[tuple[str, int, int]] = field(default_factory=list)  # where: file, row, side
    lengths: set[int] = field(default_factory=set)  # steps of its segments
    shapes: set[tuple[tuple[int, ...], ...]] = field(default_factory=set)  # of an observation and an action
    # by kind and digests in ascending order: the questions that show just that, each with its own order
    places: dict[tuple[str, Shown], list[tuple[int, Shown]]] = field(default_factory=dict)

    @classmethod
    def read(cls, store: LabelStore, until: int | None = None) -> Recording:
        """Read all of a store, or its answers up to a number. Raises UserError for missing or damaged segments."""
        record = read_contents(store).undamaged()
        if until is not None:
            record = replace(record, answers=[row for row in record.answers if row["seq"] <= until])
        marks = [(row["seq"], row["round"]) for row in record.watermarks]
        events = [Event(row, _step_read(marks, row["seq"])) for row in record.answers]
        stale = {row["query_id"]: row["step"] for row in record.closures if row["reason"] == "stale"}
        recording = cls(events, {}, stale, [(row["step"], row["room"]) for row in record.capacities])
        stand = {row["seq"] for row in standing_rows(record.answers)}
        for event in events:
            if event.seq in stand:
                recording.standing.setdefault(event.row["query_id"], []).append(event)
        recording._index(record, store.files)
        return recording

    def _index(self, record: Contents, files: SegmentFiles) -> None:
        """Index all questions by their segments' digests, a file at a time."""
        held: dict[str, list[Shown]] = {}
        for name in files_of(record.questions):
            segments = files.read(name)
            held[name] = shown_by(segments)
            self.lengths.add(segments.length)
            self.shapes.add((shapes(segments.observations, 3), segments.actions.shape[3:]))
        for row in record.questions:
            file, place = row["segments_file"], row["row"]
            if not 0 <= place < len(held[file]):
                raise UserError(f"question {row['id']} is row {place} of {files.folder / file}, which has fewer")
            shown = held[file][place]
            self.origins += [(file, place, side) for side in range(len(shown))]
            self.places.setdefault((row["kind"], tuple(sorted(shown))), []).append((row["id"], shown))

    def find(self, kind: str, shown: Shown, times: int) -> Match | None:
        """The question of a kind that showed these segments, in any order; of several, the one after `times` others."""
        candidates = self.places.get((kind, tuple(sorted(shown))))
        if not candidates:
            return None
        query, recorded = candidates[min(times, len(candidates) - 1)]
        left = list(range(len(shown)))  # segments that look alike are taken in their order
        order = [left.pop(next(k for k, place in enumerate(left) if shown[place] == digest)) for digest in recorded]
        return Match(query, kind, order)

    def events_until(self, step: int) -> list[Event]:
        """What the recorded trainer had read by a step, in order."""
        return self.events[: bisect_left(self.events, step + 1, key=lambda event: event.read_at)]

    @property
    def lasting(self) -> list[Event]:
        """The answers that stand in the end, in order."""
        return sorted((event for events in self.standing.values() for event in events), key=lambda event: event.seq)

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    @property
    def from_people(self) -> bool:
        """Whether people gave the answers that the trainer read: those carry no step of the run."""
        return any(event.row["step"] is None for event in self.events if event.read_at < NEVER)

    def capacity(self, step: int) -> float:
        """The recorded teacher's capacity at a step."""
        place = bisect_left(self.capacities, (step + 1,)) - 1
        return self.capacities[place][1] if place >= 0 else float("inf")


def _step_read(marks: list[tuple[int, int]], seq: int) -> int:
    """The step of the first mark that is not below this number. marks: (number, step), both growing"""
    place = bisect_left(marks, (seq,))
    return marks[place][1] if place < len(marks) else NEVER
