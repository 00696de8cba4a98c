"""Which pair a person may keep as a video, and how much may be told in it: of a pair on the screen, nothing but the clips."""

from __future__ import annotations

from prefrl.kinds.views import choice, model_view
from prefrl.labelling.access import Caller, Session
from prefrl.labelling.answers import display_of, own_answer
from prefrl.labelling.questions import Questions
from prefrl.labelling.refusals import Refusal
from prefrl.labelling.videos import PairVideo
from prefrl.store import lookup
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore

ASKED = "Which clip is better?"


class Keeping:
    """Describes videos of what a person sees on the page."""

    def __init__(self, store: LabelStore, questions: Questions, asked: str):
        """asked: what people are asked about every pair"""
        self.store, self.questions, self.asked = store, questions, asked or ASKED

    def on_screen(self, caller: Caller, session: Session, ticket: str) -> PairVideo:
        """The pair of a display. Whether it has an answer, of whomever, makes no difference."""
        display = display_of(self.store, caller, session, ticket)
        place = lookup.places(self.store, [display["query_id"]])[display["query_id"]]
        return self._video(place, display["mirrored"])

    def answered(self, caller: Caller, session: Session, seq: int) -> PairVideo:
        """The pair of an answer, with the answer and the reward model's view as the history tells them."""
        row = own_answer(self.store, caller, session, seq)
        mirrored = lookup.shown(row["details"])["mirrored"]
        place = Place(row["query_id"], row["segments_file"], row["row"])
        if row["kind"] == "withdrawal" or row["superseded_by"] is not None:  # perhaps it is to be answered again
            return self._video(place, mirrored)
        said = choice(row["preference"], mirrored)
        model = model_view(self.store.notices.predictions([place.query]).get(place.query), said, mirrored)
        told = {"labeller": row["labeller"], "choice": said, "seconds": row["response_seconds"], "model": model}
        return self._video(place, mirrored, told)

    def _video(self, place: Place, mirrored: bool, told: dict | None = None) -> PairVideo:
        clips = self.questions.drawn(place, mirrored)
        if clips is None:
            self.questions.wish([place.query])
            raise Refusal("not_found", "the clips of this pair are being drawn again; ask again in a moment")
        return PairVideo(place.query, self.asked, clips, told)
