"""Pairs as videos to keep: made beside the server, with nothing in them that whoever asks may not know yet."""

from __future__ import annotations

import io
import re
import sys
import threading
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from patience import LONG, until
from serving import Serving, make_run

from prefrl.labelling import videos
from prefrl.labelling.videos import PairVideo, Videos
from prefrl.reels import panels
from prefrl.store.store import LabelStore

SLOW = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
BROKEN = [sys.executable, "-S", "-c", "import sys; sys.exit('writing: 12%\\rerror: no such codec')"]
KILLED = [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]
WRITER = """
import json, sys
from pathlib import Path
wanted = json.load(sys.stdin)
out = Path(wanted["out"])
out.parent.mkdir(exist_ok=True)
out.write_bytes(bytes(1000))
"""
QUICK = [sys.executable, "-S", "-c", WRITER]


def get(person, **which):
    return person.http.get("/api/video", params={"session": person.session, **which}, timeout=LONG)


def decoded(reply) -> np.ndarray:
    assert reply.status_code == 200, reply.text
    return iio.imread(io.BytesIO(reply.content), plugin="FFMPEG", extension=".mp4")


def share_of(colour: tuple[int, int, int], frames: np.ndarray) -> float:
    """How much of the picture is of about this colour; encoding moves it a little."""
    return float((np.abs(frames.astype(int) - colour).max(-1) < 24).mean())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Real videos of one pair: on the screen, after the answer, and once that was withdrawn. And the run's folder."""
    folder = tmp_path_factory.mktemp("videos") / "run"
    make_run(folder, asked=2)
    serving = Serving(folder)
    with LabelStore.open(folder) as store:
        thought = {"model_version": 3, "probability": 0.8, "rewards": [[1.0, 2.0, 1.0, 2.0], [-1.0, -2.0, -1.0, -2.0]]}
        store.notices.predict({query: thought for query in store.open_queries()})
    ann = serving.person()
    [question] = ann.next()
    found = {"open": get(ann, ticket=question["ticket"])}
    seq = ann.answer(question, "left").json()["seq"]
    found["told"] = get(ann, seq=seq)
    found["screen"] = get(ann, ticket=question["ticket"])
    ann.say(f"/api/answers/{seq}/withdraw", ticket="withdrawal-1")
    found["withdrawn"] = get(ann, seq=seq)
    yield found, folder, question
    serving.close()


def test_a_pair_on_the_screen_has_its_clips_and_says_nothing_of_the_model(kept):
    frames = decoded(kept[0]["open"])
    assert len(frames) == 5  # each frame of the clips once
    assert share_of(panels.ABOVE, frames) == share_of(panels.BELOW, frames) == share_of(panels.ACCENT, frames) == 0
    reply = kept[0]["open"]
    assert reply.headers["content-type"] == "video/mp4" and reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-disposition"] == f'attachment; filename="pair-{kept[2]["query"]}.mp4"'


def test_left_is_left(kept):
    frame = decoded(kept[0]["open"])[0]
    middle = frame.shape[1] // 2
    line = frame[frame.shape[0] // 2]
    assert line[middle // 2, 1] < 60 and 90 < line[middle + middle // 2, 1] < 150  # the clips' green is 0 and 120


def test_after_the_answer_it_says_what_was_said_and_thought(kept):
    frames = decoded(kept[0]["told"])
    assert min(share_of(panels.ABOVE, frames), share_of(panels.BELOW, frames), share_of(panels.ACCENT, frames)) > 0.002
    assert frames.shape[1] > decoded(kept[0]["open"]).shape[1] + 30


def test_what_is_to_be_answered_again_tells_nothing(kept):
    assert kept[0]["withdrawn"].content == kept[0]["screen"].content == kept[0]["open"].content


def test_only_digests_lie_on_the_disk(kept):
    names = [path.name for path in (kept[1] / "videos").iterdir()]
    assert len(names) == 2 and all(re.fullmatch(r"[0-9a-f]{64}\.mp4", name) for name in names)


# who may have which


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(videos, "COMMAND", QUICK)


def test_other_peoples_pairs_are_not_shown_to_the_invited(serve, quick):
    serving = serve(access={"invites": {"ann": "anns-token", "ben": "bens-token"}})
    ann, ben = serving.person("ann", "anns-token"), serving.person("ben", "bens-token")
    [question] = ann.next()
    seq = ann.answer(question).json()["seq"]
    for which in ({"seq": seq}, {"ticket": question["ticket"]}):
        assert get(ben, **which).json()["code"] == "not_yours"
        assert get(ann, **which).status_code == 200
        assert get(serving.person("eve"), **which).status_code == 200  # the experimenter


@pytest.mark.parametrize(
    "which, code",
    [
        ({}, "invalid"),
        ({"seq": 1, "ticket": "no-such-ticket"}, "invalid"),
        ({"ticket": "no-such-ticket"}, "unknown_ticket"),
        ({"ticket": "../../labels.db"}, "invalid"),
        ({"seq": 99}, "unknown_answer"),
        ({"seq": "../1"}, "invalid"),
    ],
)
def test_what_names_no_pair_is_refused(serve, quick, which, code):
    reply = get(serve().person(), **which)
    assert reply.json()["code"] == code and reply.status_code in (404, 422)


def test_a_pair_whose_clips_are_gone_is_wished_for(serve, run, quick):
    serving = serve()
    ann = serving.person()
    [question] = ann.next()
    for sheet in (run / "clips").glob("*.webp"):
        sheet.unlink()
    assert "being drawn again" in get(ann, ticket=question["ticket"]).json()["message"]
    assert serving.store.notices.read("wanted")[0] == {"queries": [question["query"]]}


# how they are made and kept


def test_the_server_goes_on_while_a_video_is_made(serve, monkeypatch):
    monkeypatch.setattr(videos, "COMMAND", SLOW)
    made = Videos(Path("nowhere"))
    serving = serve(videos=made)
    ann = serving.person()
    [question] = ann.next()
    replies = []
    asking = threading.Thread(target=lambda: replies.append(get(ann, ticket=question["ticket"])))
    asking.start()
    until(lambda: made._process)
    ben = serving.person("ben")
    assert ben.answer(ben.next()[0]).status_code == 201
    made.stop()
    asking.join(LONG)
    assert made._process.poll() is not None and replies[0].json()["code"] == "video"


@pytest.mark.parametrize("command, why", [(BROKEN, "no such codec"), (KILLED, "its process ended with status -9")])
def test_what_goes_wrong_is_told(serve, monkeypatch, command, why):
    monkeypatch.setattr(videos, "COMMAND", command)
    ann = serve().person()
    [question] = ann.next()
    reply = get(ann, ticket=question["ticket"])
    assert (reply.status_code, reply.json()["message"]) == (503, f"the video could not be made: {why}")


def test_too_many_at_a_time_are_put_off(serve, monkeypatch, quick):
    monkeypatch.setattr(videos, "MOST_WAITING", 0)
    ann = serve().person()
    [question] = ann.next()
    assert get(ann, ticket=question["ticket"]).status_code == 429


def pair(query: int) -> PairVideo:
    return PairVideo(query, "Which?", [])


def test_a_video_is_made_once(tmp_path, quick, monkeypatch):
    kept = Videos(tmp_path)
    first = kept.content(pair(1))
    monkeypatch.setattr(videos, "COMMAND", BROKEN)
    assert kept.content(pair(1)) == first == bytes(1000)


def test_what_was_wanted_longest_ago_makes_room(tmp_path, quick, monkeypatch):
    monkeypatch.setattr(videos, "MOST_BYTES", 2500)
    kept = Videos(tmp_path)
    for query in (1, 2, 1, 3):
        kept.content(pair(query))
        time.sleep(0.02)
    assert {path.stem for path in (tmp_path / "videos").iterdir()} == {pair(1).name, pair(3).name}
