"""The render worker, as the process that it is: draws what is open, refuses what it cannot repeat, leaves when told to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import LONG, until
from played import make_run, pairs, played

from prefrl.core.data import Origins, Queries
from prefrl.core.errors import StorageFull
from prefrl.environments.making import env_maker
from prefrl.labelling.supervisor import command
from prefrl.labelling.worker import Worker, work
from prefrl.rendering.clip_cache import clip_of, clips_ready
from prefrl.rendering.redraw import redraw
from prefrl.rendering.sheets import frames_of
from prefrl.store import lookup
from prefrl.store.store import LabelStore

ROOT = Path(__file__).parent.parent.parent


def started(folder: Path, *more: str, **how) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen([*command(folder), *more], stdin=pipe, stderr=pipe, text=True, cwd=ROOT, **how)


@pytest.fixture
def once(capfd):
    """Lets a worker draw what waits, in this process. Returns what it said."""

    def draw(folder: Path) -> str:
        work(folder, env_maker("CartPole-v1", "rgb_array"), None, once=True)
        return capfd.readouterr().err

    return draw


def ready(folder: Path, ids) -> list[bool]:
    with LabelStore.open(folder) as store:
        places = lookup.places(store, list(ids))
        return clips_ready(folder, [(places[id].file, places[id].row, 2) for id in ids])


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_every_open_question_is_drawn_as_it_happened(run, once):
    ids = make_run(run)
    assert once(run) == ""
    with LabelStore.open(run) as store:
        segments, places = store.queries(ids).segments, lookup.places(store, ids)
        for row, id in enumerate(ids):
            for side in (0, 1):
                place = places[id]
                clip = clip_of(run, place.file, place.row, side)
                content = (run / "clips" / f"{clip['clip']}.webp").read_bytes()
                origin = store.files.origin(place.file, place.row, side)
                frames = redraw(env_maker("CartPole-v1", "rgb_array"), segments[row, side], origin)
                assert np.array_equal(frames_of(content, clip["frames"], clip["columns"]), frames)
                assert (clip["width"], clip["height"], clip["fps"], clip["frames"]) == (600, 400, 50.0, 9)
        notice, _ = store.notices.read("renderer")
    assert (notice["state"], notice["waiting"], notice["done"], notice["error"]) == ("idle", 0, 3, None)


def tampered(origins: Origins, place: int) -> Origins:
    """One action of one origin is another."""
    each = [origins[k] for k in range(len(origins))]
    each[place].actions[0] = 1 - each[place].actions[0]
    return Origins.of(each)


def test_what_does_not_repeat_is_closed_and_never_shown(run, once):
    make_run(run, asked=1)
    segments, origins = pairs(played("CartPole-v1", seed=9), 3)
    with LabelStore.open(run) as store:
        ids = store.ask(Queries(segments, np.zeros(3), "uniform", 200, 1), origins=tampered(origins, 2))
        said = once(run)
        assert f"not shown: question {ids[1]}: " in said
        assert ready(run, ids) == [True, False, True]
        assert ids[1] not in store.open_queries() and {ids[0], ids[2]} <= set(store.open_queries())
        assert store.counts().closed == 1
        assert store.notices.read("renderer")[0]["error"].startswith(f"question {ids[1]}: ")


def test_questions_without_tapes_are_closed(run, once):
    ids = make_run(run, origins=False)
    said = once(run)
    assert said.count("no longer known") == 3
    with LabelStore.open(run) as store:
        assert store.open_queries() == [] and store.counts().closed == len(ids)


def test_a_broken_segment_file_does_not_keep_it_from_the_others(run, once):
    broken = make_run(run)
    (path,) = (run / "segments").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    segments, origins = pairs(played("CartPole-v1", seed=9), 2)
    with LabelStore.open(run) as store:
        sound = store.ask(Queries(segments, np.zeros(2), "uniform", 200, 1), origins=origins)
    said = once(run)
    assert said.count("is damaged") == 3
    assert ready(run, [*broken, *sound]) == [False] * 3 + [True] * 2


def test_a_damaged_clip_is_drawn_again(run, once):
    ids = make_run(run, asked=1)
    once(run)
    with LabelStore.open(run) as store:
        place = lookup.places(store, ids)[ids[0]]
    before = clip_of(run, place.file, place.row, 0)
    (run / "clips" / f"{before['clip']}.webp").write_bytes(b"x")
    assert clip_of(run, place.file, place.row, 0) is None
    once(run)
    assert clip_of(run, place.file, place.row, 0) == before


def test_answered_questions_are_drawn_when_somebody_wishes(run, once):
    ids = make_run(run)
    with LabelStore.open(run) as store:
        store.answer(ids[:2], [1.0, 0.0], labeller="ann")
        once(run)
        assert ready(run, ids) == [False, False, True]
        store.notices.post("wanted", {"queries": [ids[1], 999]})
        once(run)
        assert ready(run, ids) == [False, True, True]


def said_at_the_end(folder: Path) -> tuple[int, str]:
    """Exit status and last line of a process that draws what waits."""
    worker = started(folder, "--once")
    _, said = worker.communicate(timeout=LONG)
    return worker.returncode, said.strip().split("\n")[-1]


def test_a_run_whose_environment_cannot_be_made_says_so_last(run):
    ids = make_run(run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("CartPole-v1", "own"))
    status, said = said_at_the_end(run)
    assert status == 2 and said.startswith("error: no environment to draw with: unknown environment 'own'")
    with LabelStore.open(run) as store:
        assert store.open_queries() == ids and store.notices.read("renderer")[0]["state"] == "failed"


def test_environments_of_a_module_are_imported_by_name(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv', max_episode_steps=500)\n"
    )
    ids = make_run(run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("CartPole-v1", "Mine-v0"))
    found = subprocess.run(
        [*command(run, ["mine"]), "--once"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=LONG
    )
    assert found.returncode == 0 and all(ready(run, ids))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    status, said = said_at_the_end(tmp_path / "none")
    assert status == 2 and said.startswith("error: cannot read the configuration")


def test_a_full_disk_is_no_fault_of_the_question(run, once, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    ids = make_run(run)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageFull, match="free some space"):
        once(run)
    with LabelStore.open(run) as store:
        assert store.open_queries() == ids


def test_new_questions_are_drawn_while_it_runs_and_it_ends_with_its_parent(run):
    make_run(run, asked=1)
    worker = started(run)
    segments, origins = pairs(played("CartPole-v1", seed=9), 2)
    until(lambda: (run / "clips" / "index").exists())
    with LabelStore.open(run) as store:
        ids = store.ask(Queries(segments, np.zeros(2), "uniform", 200, 1), origins=origins)
    until(lambda: all(ready(run, ids)))
    worker.stdin.close()
    assert worker.wait(LONG) == 0


def test_it_ends_when_asked_to(run):
    make_run(run, asked=1)
    worker = started(run)
    until(lambda: (run / "clips" / "index").exists())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(LONG) == 0


def test_it_does_not_outlive_a_parent_that_was_killed(run, tmp_path):
    make_run(run, asked=1)
    code = (
        "import subprocess, sys, time\n"
        f"print(subprocess.Popen({command(run)!r}, stdin=subprocess.DEVNULL).pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    until(lambda: (run / "clips" / "index").exists())
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    parent.kill()
    parent.wait()
    until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_the_newest_models_questions_and_the_highest_scores_come_first(run):
    old = make_run(run)
    segments, origins = pairs(played("CartPole-v1", seed=9), 3)
    with LabelStore.open(run) as store:
        new = store.ask(Queries(segments, np.array([0.1, np.nan, 0.9]), "uniform", 200, 2), origins=origins)
        worker = Worker(store, run, env_maker("CartPole-v1", "rgb_array"))
        worker._look()
        assert [place.query for place in worker.waiting] == [new[2], new[0], new[1], *reversed(old)]


def test_it_needs_no_learning_libraries():
    code = "import prefrl.labelling.worker, sys; print({'torch', 'stable_baselines3', 'mujoco'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "set()"


def test_notices_are_plain_json(run, once):
    make_run(run, asked=1)
    once(run)
    with LabelStore.open(run) as store:
        notice, age = store.notices.read("renderer")
    assert json.loads(json.dumps(notice)) == notice and 0 <= age < 60
    assert set(notice) >= {"state", "waiting", "done", "per_second", "error"}
