"""Videos of real runs, decoded again: whatever happened is in them once, with what was said about it."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from PIL import Image
from played import make_run
from short import SHORT

from prefrl.config.values import load
from prefrl.core.data import Origin, Origins
from prefrl.core.errors import UserError
from prefrl.reels import panels
from prefrl.reels.acting import episode, progress
from prefrl.reels.best import best
from prefrl.reels.pairs import pairs
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs import checkpoint
from prefrl.runs.api import load_run, train
from prefrl.runs.folder import describe
from prefrl.store.contents import read_contents, write_contents
from prefrl.store.store import LabelStore

ROOT = Path(__file__).parent.parent.parent
STEPS = 10  # in a segment
BLOCK = 16  # pixels of each of the 8 bits that a frame shows its number by
TOP, LEFT = 57 + panels.MARGIN + panels.EDGE, panels.MARGIN + panels.EDGE  # of the first picture below a question
TIMES = 2  # small frames are enlarged


class Painted(PendulumEnv):
    """Draws nothing but how many steps the episode has lasted: 8 black or white blocks. Of odd size."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def reset(self, *, seed=None, options=None):
        self.age = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.age += 1
        return super().step(action)

    def render(self):
        return painted(self.age)


def painted(number: int) -> np.ndarray:
    frame = np.full((101, 151, 3), 90, np.uint8)
    bits = (number >> np.arange(8)) & 1
    frame[:, : 8 * BLOCK] = np.repeat(bits * 255, BLOCK)[:, None]
    return frame


gym.register("tests/Painted-v0", Painted, max_episode_steps=200)


def decoded(path: Path) -> tuple[np.ndarray, dict]:
    """Every frame of the file, none doubled or dropped for the sake of timing, and the file's metadata."""
    reader = imageio_ffmpeg.read_frames(str(path), output_params=["-fps_mode", "passthrough"])
    about = next(reader)
    width, height = about["size"]
    return np.array([np.frombuffer(raw, np.uint8).reshape(height, width, 3) for raw in reader]), about


def numbers(frames: np.ndarray, left: int = LEFT, top: int = TOP) -> list[int]:
    """What the blocks say that begin at this place."""
    block = TIMES * BLOCK
    bits = frames[:, top + block, left + block // 2 : left + 8 * block : block, 0] > 127
    return (bits << np.arange(8)).sum(-1).tolist()


def second(frames: np.ndarray) -> int:
    """Where the right picture begins."""
    return frames.shape[2] // 2 + LEFT


def is_near(colour: np.ndarray, expected: tuple[int, int, int]) -> np.ndarray:
    return np.abs(colour.astype(int) - expected).max(-1) < 60


def cursor(frames: np.ndarray, line: int) -> list[int]:
    """Where the cursor stands in this line of pixels."""
    marked = is_near(frames[:, line], panels.ACCENT)
    assert marked.any(1).all()
    return marked.argmax(1).tolist()


def answer_all(folder: Path, over: threading.Event) -> None:
    """Ann prefers what truly earns more, after 2.3 seconds. Questions with even numbers are shown to her mirrored."""
    while not (folder / "run.json").exists() or not (folder / "labels.db").exists():
        time.sleep(0.01)
    with LabelStore.open(folder) as store:
        while not over.wait(0.01):
            for query in store.open_queries():
                returns = store.queries([query]).segments.true_returns[0]
                how = json.dumps({"mirrored": query % 2 == 0})
                told = float(returns[0] > returns[1])
                store.answer([query], [told], labeller="ann", response_seconds=[2.3], details=[how])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run that a person has labelled for. Tests leave it as it is, but for its clips."""
    folder, over = tmp_path_factory.mktemp("painted") / "run", threading.Event()
    threading.Thread(target=answer_all, args=(folder, over), daemon=True).start()
    human = {"teacher": "human", "teacher.page": False, "teacher.lag": 3, "teacher.wait": 8}
    wanted = {**SHORT, **human, "steps": 1024, "questions.budget": 12, "questions.length": STEPS}
    with pytest.warns(UserWarning, match="episodes of 200 steps"):
        train("tests/Painted-v0", folder=folder, quiet=True, **{**wanted, "record.checkpoints": 2})
    over.set()
    return folder


def ages(run: Path, query: int) -> list[int]:
    """How old the episodes of a question's two segments were when they began."""
    with LabelStore.open(run) as store:
        (row,) = [row for row in store.history() if row["query_id"] == query]
        return [len(store.files.origin(row["segments_file"], row["row"], side).actions) for side in (0, 1)]


@pytest.fixture(scope="module")
def three(run, tmp_path_factory) -> np.ndarray:
    """The frames of questions 3, 4 and 7."""
    frames, about = decoded(pairs(run, tmp_path_factory.mktemp("three") / "three.mp4", queries=[3, 4, 7]))
    assert about["codec"] == "h264" and about["fps"] == 5.5 and not any(side % 2 for side in about["size"])
    return frames


def test_every_frame_of_every_pair_is_there_once_side_by_side(run, three):
    assert len(three) == 3 * (STEPS + 1)
    for place, query in enumerate((3, 4, 7)):
        shown = three[place * (STEPS + 1) :][: STEPS + 1]
        first, other = ages(run, query) if query % 2 else ages(run, query)[::-1]  # 4 was shown mirrored
        assert numbers(shown) == list(range(first, first + STEPS + 1))
        assert numbers(shown, second(shown)) == list(range(other, other + STEPS + 1))


def test_what_was_chosen_has_a_coloured_edge(run, three):
    with LabelStore.open(run) as store:
        told = {row["query_id"]: row["preference"] for row in store.history()}
    for place, query in enumerate((3, 4, 7)):
        frame = three[place * (STEPS + 1) + 5]
        edges = [is_near(frame[TOP + 50, x], panels.ACCENT) for x in (LEFT - 2, frame.shape[1] // 2 + LEFT - 2)]
        assert edges == [left := (told[query] > 0.5) != (query % 2 == 0), not left]


def test_captions_say_what_was_asked_and_answered(three):
    height = three.shape[1]
    header, footer = three[:, : TOP - 12], three[:, height - 70 :]
    assert (header.min((1, 2, 3)) < 80).all() and (footer.min((1, 2, 3)) < 80).all()
    assert np.abs(header[5].astype(int) - header[27]).max() < 40  # the same question
    assert np.abs(footer[5].astype(int) - footer[27]).max() > 100  # another number, and answer
    assert np.abs(footer[1].astype(int) - footer[9]).max() < 40  # as long as a pair lasts


def test_a_cursor_moves_along_the_learned_reward(three):
    line = TOP + TIMES * 101 + panels.EDGE + panels.MARGIN + 3
    for place in range(3):
        found = cursor(three[place * (STEPS + 1) :][: STEPS + 1, :, : three.shape[2] // 2], line)
        assert (np.diff(found) > 20).all() and found[0] < 10 and found[-1] > TIMES * 151


def test_without_being_told_it_shows_the_last_answers(run, tmp_path):
    frames, _ = decoded(pairs(run, last=2, fps=20))
    assert (run / "pairs.mp4").exists() and len(frames) == 2 * (STEPS + 1)
    (run / "pairs.mp4").unlink()


def test_a_gif_holds_every_frame_too(run, tmp_path):
    path = pairs(run, tmp_path / "pair.gif", queries=[3])
    with Image.open(path) as gif:
        assert gif.n_frames == STEPS + 1 and gif.info["loop"] == 0
        frames = []
        for place in range(gif.n_frames):
            gif.seek(place)
            frames.append(np.asarray(gif.convert("RGB")))
            assert gif.info["duration"] == pytest.approx(1000 / 5.5, abs=10)
    across = 151 + 2 * (panels.EDGE + panels.MARGIN)
    assert frames[0].shape[1] == 2 * across and path.stat().st_size < 100_000
    first, frames = ages(run, 3)[0], np.array(frames)
    bits = frames[:, TOP + 50, LEFT + BLOCK // 2 : LEFT + 8 * BLOCK : BLOCK, 0] > 127
    assert (bits << np.arange(8)).sum(-1).tolist() == list(range(first, first + STEPS + 1))


def test_the_reel_begins_with_what_the_reward_model_likes_most_and_least(run, tmp_path):
    frames, _ = decoded(best(run, tmp_path / "best.mp4", count=2))
    assert len(frames) == 2 * (STEPS + 1)
    loaded = load_run(run)
    with LabelStore.open(run) as store:
        ids = range(1, store.asked() + 1)
        rewards, _ = loaded.reward_model.predict("pair", store.queries(list(ids)).segments)
    loaded.close()
    returns = rewards.sum(-1)  # (Q, 2)
    most, least = (np.unravel_index(pick(returns), returns.shape) for pick in (np.argmax, np.argmin))
    top = panels.text("x", 300, 17).height + panels.MARGIN + panels.EDGE
    shown = [numbers(frames[: STEPS + 1], left, top) for left in (LEFT, second(frames))]
    for (query, side), found in zip((most, least), shown, strict=True):
        age = ages(run, ids[query])[side]
        assert found == list(range(age, age + STEPS + 1))


def test_progress_shows_the_policy_before_training_and_at_every_checkpoint(run, tmp_path):
    frames, _ = decoded(progress(run, tmp_path / "progress.mp4", steps=15))
    kept = len(checkpoint.found(run / "checkpoints"))
    assert kept >= 2 and numbers(frames, top=heading()) == list(range(16)) * (kept + 1)
    captions = frames[::16, : heading() - 12].astype(int)
    assert all(np.abs(one - other).max() > 100 for one, other in zip(captions, captions[1:], strict=False))


def heading() -> int:
    return panels.text("x", 300, 15, rows=2).height + panels.MARGIN + panels.EDGE


def test_episodes_of_the_newest_checkpoint_with_both_rewards(run, tmp_path):
    frames, about = decoded(episode(run, tmp_path / "episode.mp4", episodes=2, steps=60))
    assert numbers(frames, top=heading()) == list(range(61)) * 2 and about["fps"] == 20
    below = heading() + TIMES * 101 + panels.EDGE + panels.MARGIN + panels.text("x", 300, 12).height
    further = panels.STRIP + panels.MARGIN + panels.text("x", 300, 12).height
    for line in (below + 3, below + further + 3):
        assert (np.diff(cursor(frames[:61], line)) > 0).all()


def test_the_command_says_where_the_video_is_and_leaves_nothing_else(run, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from prefrl.cli import main; sys.exit(main())"
    )
    words = ["render", "pairs", str(run), "--query", "3", "--out", str(tmp_path / "a.mp4"), "--import", "test_render"]
    tests = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    said = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, env=tests)
    assert said.returncode == 0 and said.stdout.startswith(f"{tmp_path / 'a.mp4'}  "), said.stderr
    assert len(decoded(tmp_path / "a.mp4")[0]) == STEPS + 1 and len(list(tmp_path.iterdir())) == 1


def test_a_look_at_the_help_costs_no_moviepy():
    code = "import sys; from prefrl.reels import render_command; render_command.parser(); print({'moviepy', 'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "set()"


# Runs without a checkpoint, and what cannot be drawn


@pytest.fixture
def bare(tmp_path):
    """Makes a run's folder with three questions, of which the first two are answered."""

    def make(origins: bool = True) -> Path:
        folder = tmp_path / "bare"
        ids = make_run(folder, origins=origins)
        describe(folder, load(folder / "config.yaml"), "none", {})
        with LabelStore.open(folder) as store:
            store.answer(ids[:2], [0.5, float("nan")], labeller="ben")
        return folder

    return make


def retaped(folder: Path, row: int, change) -> None:
    """Put another origin into the file of segments."""
    with LabelStore.open(folder) as store:
        (name,) = {row["segments_file"] for row in store.history()}
        origins = [store.files.origin(name, place, side) for place in range(3) for side in (0, 1)]
        origins[2 * row] = change(origins[2 * row])
        other = store.files.write(store.files.read(name), Origins.of(origins))
        record = read_contents(store)
    for path in folder.glob("labels.db*"):  # written anew, as the store itself would have
        path.unlink()
    with LabelStore.open(folder) as store:
        write_contents(store, replace(record, questions=[{**q, "segments_file": other} for q in record.questions]))


def test_a_run_that_noted_nothing_says_what_still_works(bare):
    folder = bare(origins=False)
    with LabelStore.open(folder) as store:
        store.notices.predict({id: thought() for id in (1, 2, 3)})
    for make in (pairs, best):
        with pytest.raises(UserError, match="question . cannot be drawn: nothing was noted.*prefrl render progress"):
            make(folder)


def thought() -> dict:
    return {"model_version": 3, "chances": [0.8, 0.2], "rewards": np.linspace(-1, 1, 16).reshape(2, 8).tolist()}


def test_predictions_of_the_trainer_are_shown_while_there_is_no_checkpoint(bare):
    folder = bare()
    below = TOP + 400 + panels.EDGE + panels.MARGIN + 3
    frames, _ = decoded(pairs(folder))
    assert len(frames) == 18 and not is_near(frames[:, below], panels.ACCENT).any()
    with LabelStore.open(folder) as store:
        store.notices.predict({1: thought(), 2: thought()})
    frames, _ = decoded(pairs(folder))
    assert len(frames) == 18 and (np.diff(cursor(frames[:9, :, :620], below)) > 0).all()


def test_what_does_not_repeat_is_left_out_or_refused_where_it_was_asked_for(bare):
    folder = bare()
    retaped(folder, 0, lambda origin: Origin(origin.opening, 1 - origin.actions))
    with pytest.raises(Unfaithful, match=r"question 1 cannot be drawn: acted again, observation \d differs|ended"):
        pairs(folder, queries=[1])
    with pytest.warns(UserWarning, match="1 of 2 questions are left out; question 1 cannot be drawn"):
        assert len(decoded(pairs(folder))[0]) == 9
    assert sorted(path.name for path in folder.glob("*.mp4")) == ["pairs.mp4"]


def test_what_was_filmed_can_be_shown_as_long_as_its_clip_is_there(bare):
    folder = bare()
    pairs(folder, queries=[2])
    retaped(folder, 1, lambda origin: Origin(b'{"film": 7}', origin.actions))
    with pytest.raises(
        Unfaithful, match="question 2 cannot be drawn: it was filmed as it happened, and its clip is gone"
    ):
        pairs(folder, queries=[2])


def test_an_environment_of_the_users_own_is_given_from_python(bare):
    folder = bare()
    describe(folder, load(folder / "config.yaml"), "none", {"env": "<function mine>"})
    with pytest.raises(UserError, match="environment of your own; give it from Python, as env="):
        pairs(folder)
    pairs(folder, env=lambda render_mode=None: gym.make("CartPole-v1", render_mode=render_mode))
    assert len(decoded(pairs(folder))[0]) == 18  # its clips are there by now


def test_what_there_is_nothing_of_is_said(bare):
    folder = bare()
    with pytest.raises(UserError, match="question 3 has no answer that stands; there are 2 answered ones, from 1 to 2"):
        pairs(folder, queries=[3])
    with pytest.raises(UserError, match="no reward was learned in .* yet"):
        best(folder)
    for make in (progress, episode):
        with pytest.raises(UserError, match="has no checkpoint yet"):
            make(folder)
    with LabelStore.open(folder) as store:
        store.withdraw(1, labeller="ben")
        store.withdraw(2, labeller="ben")
    with pytest.raises(UserError, match="nothing has been answered yet"):
        pairs(folder)


def test_a_file_of_another_kind_is_refused_before_anything_is_drawn(bare):
    folder = bare()
    with pytest.raises(UserError, match=r"as 'a.avi'; let the name end in .mp4 or .mkv or .mov or .gif"):
        pairs(folder, "a.avi")
    with pytest.raises(UserError, match="a GIF at up to 50 frames per second, not 60; write .mp4"):
        pairs(folder, folder / "a.gif", fps=60)
    assert not (folder / "a.gif").exists()
