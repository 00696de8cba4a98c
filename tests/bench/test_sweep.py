"""A sweep keeps what has finished, tries again what may pass, and never stops for one run."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from bench.conftest import TINY
from patience import until

from prefrl.bench.cache import Cache, Job
from prefrl.bench.grid import make_grid
from prefrl.bench.sweep import Clock, duration, sweep
from prefrl.bench.work import do
from prefrl.bench.workers import Outcome, Processes
from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.runs.folder import locked

GRID = make_grid(TINY)
ARM = GRID.cells[0].job


class Scripted:
    """Workers that end each try of a job as they are told."""

    count = 1

    def __init__(self, *outcomes: Outcome):
        self.outcomes, self.submitted = list(outcomes), []

    def submit(self, slot, job, folder):
        self.submitted.append(job.config.seed)

    def wait(self, seconds):
        return [self.outcomes.pop(0)]

    def close(self):
        pass


@pytest.fixture
def processes():
    with closing(Processes(1)) as team:
        yield team


def with_seed(seed: int) -> Job:
    return Job(update(ARM.config, {"seed": seed}), "run", (), ARM.evaluation)


def made(result):
    from prefrl.bench.cache import versions

    return Outcome(0, result | {"made": versions()})


def test_a_run_is_done_once_and_found_again(tmp_path, processes):
    cache = Cache(tmp_path)
    first = sweep([ARM, ARM], cache, processes)
    assert first.found == 0 and first.results[ARM]["asked"] == 4 and first.results[ARM]["env"] == "Pendulum-v1"
    assert not cache.workplace(ARM).exists()
    again = sweep([ARM], cache, Scripted())
    assert again.found == 1 and again.results == first.results


def test_a_run_that_fails_is_named_and_costs_no_other(tmp_path, processes):
    bad = Job(update(ARM.config, {"env": "Pendulum-v0"}))
    told = []
    done = sweep([bad, ARM], Cache(tmp_path), processes, report=told.append)
    assert list(done.results) == [ARM]
    assert "Pendulum-v0" in done.failures[bad].fault and "Traceback" in done.failures[bad].trace
    assert len(told) == 1 and told[0].startswith("Pendulum-v0, seed 0 failed: UserError")  # once: it cannot pass


def test_what_may_pass_is_tried_again_after_the_others(tmp_path):
    lost = Outcome(0, fault="its process was killed", again=True)
    team = Scripted(lost, made({"n": 1}), made({"n": 0}))
    done = sweep([with_seed(0), with_seed(1)], Cache(tmp_path), team, report=lambda line: None)
    assert team.submitted == [0, 1, 0] and len(done.results) == 2 and not done.failures


def test_a_job_that_fails_again_is_given_up(tmp_path):
    lost = Outcome(0, fault="its process was killed", again=True)
    done = sweep([ARM], Cache(tmp_path), Scripted(lost, lost), report=lambda line: None)
    assert done.failures[ARM].fault == "its process was killed"


def test_results_of_other_versions_are_neither_kept_nor_found(tmp_path):
    cache = Cache(tmp_path)
    other = Outcome(0, {"made": {"code": "another", "python": "2.7", "packages": {}}})
    done = sweep([ARM], cache, Scripted(other), report=lambda line: None)
    assert "done by other versions" in done.failures[ARM].fault and cache.find(ARM) is None
    (tmp_path / f"{ARM.key}-0123.json").write_text('{"made": {"code": "another"}}')
    assert "code another" in cache.others(ARM)[0][0]


def test_what_another_sweep_is_doing_is_waited_for_and_found(tmp_path, monkeypatch, processes):
    monkeypatch.setattr("prefrl.bench.sweep.RECHECK", 0.1)
    cache = Cache(tmp_path)
    other = locked(cache.workplace(ARM))
    other.__enter__()

    def end_there():
        cache.keep(ARM, made({"n": 7}).result)
        other.__exit__(None, None, None)

    timer = threading.Timer(2.0, end_there)
    timer.start()
    done = sweep([ARM], cache, processes, report=pytest.fail)
    timer.join()
    assert done.results[ARM]["n"] == 7 and not done.failures


def test_a_worker_that_is_killed_while_idle_is_replaced(tmp_path, processes):
    processes.submit(0, ARM, tmp_path / "a")
    wait_for(processes)
    processes.workers[0][0].kill()
    processes.workers[0][0].join(300)
    processes.submit(0, ARM, tmp_path / "b")
    [outcome] = wait_for(processes)
    assert outcome.result["asked"] == 4


def test_a_damaged_unfinished_run_begins_anew(tmp_path, processes):
    folder = Cache(tmp_path).workplace(ARM)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "labels.db").write_text("no database")
    done = sweep([ARM], Cache(tmp_path), processes, report=pytest.fail)
    assert "began anew" in " ".join(done.results[ARM]["warnings"])


def test_a_worker_that_is_killed_is_replaced(tmp_path, processes):
    processes.submit(0, ARM, tmp_path / "a")
    os.kill(processes.workers[0][0].pid, signal.SIGKILL)
    [outcome] = wait_for(processes)
    assert outcome.again and outcome.fault == "its process was killed by SIGKILL; is the memory full?"
    processes.submit(0, ARM, tmp_path / "a")
    [outcome] = wait_for(processes)
    assert outcome.result["asked"] == 4


def wait_for(team: Processes) -> list[Outcome]:
    while not (found := team.wait(10)):
        pass
    return found


def test_a_killed_run_goes_on_from_its_checkpoint_and_ends_the_same(tmp_path):
    whole = do(ARM, tmp_path / "whole")
    assert whole["cpu_seconds"] > 0 and whole["curve"][-1][0] == 1024
    newest = max((tmp_path / "whole" / "checkpoints").iterdir())
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()  # as if it had been killed after the checkpoint before
    resumed = do(ARM, tmp_path / "whole")
    assert resumed["true_return"] == whole["true_return"]
    assert resumed["cpu_seconds"] is None  # what the killed process spent is not known


SCRIPT = """
import sys
sys.path[:0] = {path!r}
from bench.test_sweep import with_seed
from prefrl.bench.cache import Cache
from prefrl.bench.sweep import sweep
from prefrl.bench.workers import Processes
from pathlib import Path
if __name__ == "__main__":
    sweep([with_seed(s) for s in range(40)], Cache(Path({folder!r})), Processes(1))
"""


@pytest.mark.slow  # two sweeps, each with workers that load everything before their runs
def test_after_kill_nine_nothing_runs_on_and_nothing_is_repeated(tmp_path, processes):
    script, folder = tmp_path / "script.py", tmp_path / "cache"
    script.write_text(SCRIPT.format(path=[str(Path(__file__).parents[1])], folder=str(folder)))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True, stderr=subprocess.DEVNULL)
    while not (finished := sorted(folder.glob("*.json"))):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    pids = [Path(f"/proc/{path.read_text()}") for path in folder.glob("unfinished/*/.pid")]
    until(lambda: not any(pid.exists() for pid in pids))
    finished = sorted(folder.glob("*.json"))
    known = {file: file.stat().st_mtime_ns for file in finished}
    jobs = [with_seed(seed) for seed in range(len(finished) + 1)]
    done = sweep(jobs, Cache(folder), processes)
    assert done.found == len(finished) and len(done.results) == len(jobs)
    assert {file: file.stat().st_mtime_ns for file in finished} == known


def test_the_clock_corrects_its_estimates_by_what_jobs_took():
    long, short = with_seed(1), with_seed(2)
    clock = Clock({long: 100.0, short: 10.0}, workers=2)
    assert clock.left([short], {long: 30.0}) == 70  # the longest alone, though 80 / 2 would be 40
    assert clock.left([long, short], {}) == 100
    clock.ended(short, 20.0)  # twice as slow as expected
    assert clock.left([long], {}) == 200
    assert clock.left([], {}) == 0


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_what_is_run_decides_the_key_not_where_or_how():
    assert Job(Config()) == Job(update(Config(), {"seed": 0}))
    assert Job(Config()) != with_seed(1) and Job(Config()) != Job(Config(), evaluation=1)
    assert Job(Config(), "floor") == Job(update(Config(), {"seed": 9}), "floor")  # a random policy has no seed


def test_what_a_run_reads_beside_its_settings_decides_the_key_too(tmp_path, monkeypatch):
    package, run = tmp_path / "mine_of_two", tmp_path / "recorded"
    package.mkdir()
    run.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    replay = update(Config(), {"teacher.name": f"replay={run}"})

    def keys():
        return Job(Config(), modules=("mine_of_two",)).key, Job(replay).key

    before = keys()
    (package / "envs.py").write_text("STEPS = 3")
    (run / "labels.db").write_bytes(b"answers")
    assert not set(before) & set(keys())
