"""`prefrl label`: a server for any run, found again, restarted, backed up, and gone without a trace."""

import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from importlib import resources

import psutil
import pytest
from patience import LONG, until
from serving import ROOT, address, ask, make_run, person_at, running, start

from prefrl.cli import main
from prefrl.labelling import supervisor
from prefrl.labelling.backups import KEPT, Backups
from prefrl.runs.address import is_loopback, listen
from prefrl.store.store import LabelStore

SLEEPER = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


def test_it_serves_a_run_prints_its_address_and_leaves_no_secret_behind(run):
    process = start(run, "--labeller", "ann", worker=False)
    about = address(run, process)
    assert stat.S_IMODE((run / "label-server.json").stat().st_mode) == 0o600
    person = person_at(about, "ann")
    assert person.get("/api/status")["labeller"] == "ann"
    person.label(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0 and "all answers are stored" in err
    assert f"http://127.0.0.1:{about['port']}/?token={about['token']}" in out
    assert f"ssh -N -L {about['port']}:127.0.0.1:{about['port']} " in out
    assert not (run / "label-server.json").exists()
    assert [path.name for path in sorted((run / "backups").iterdir())] == [
        "labels-00000002.db",
        "labels-00000002.jsonl",
    ]
    with LabelStore.open(run) as store:
        assert store.notices.read("labelling")[0] == {"state": "closed", "labellers": []}


def test_replies_are_sent_at_once(serve):
    """Head and body of a reply are sent apart; without TCP_NODELAY the second would wait 40 ms for an ACK."""
    serving = serve()
    with serving.client() as client:
        assert client.get("/api/status").status_code == 200
        [connection] = serving.server.server_state.connections
        link = connection.transport.get_extra_info("socket")
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_questions_asked_while_the_page_is_open_are_shown(serve, run):
    person = serve().person()
    person.label(6)
    assert person.next() == []
    fresh = ask(run, 2, seed=5, version=2)
    until(lambda: {question["query"] for question in person.next(2)} == set(fresh))


def test_a_second_server_for_a_run_is_refused_and_told_where_the_first_one_is(run, capfd):
    with running(run, worker=False) as (process, about):
        url = f"http://127.0.0.1:{about['port']}/?token={about['token']}"
        assert main(["label", str(run)]) == 2
        assert url in capfd.readouterr().err
        assert main(["label", str(run), "--url"]) == 0
        told = capfd.readouterr().out
        assert url in told and "ssh -N -L" in told and f"token:   {about['token']}" in told
        assert main(["label", str(run), "--invite", "ben"]) == 0
        link = capfd.readouterr().out.split("for ben alone:")[1].strip()
        bens = json.loads((run / "label-server.json").read_text())["invites"]["ben"]
        assert link == f"http://127.0.0.1:{about['port']}/?token={bens}"
        ben = person_at({**about, "token": bens}, "somebody")
        ben.label(1)
        assert ben.get("/api/history")["answers"][0]["labeller"] == "ben"


def test_after_a_kill_the_same_address_token_and_session_go_on(run):
    first = start(run, "--invite", "ben", worker=False)
    before = address(run, first)
    person = person_at(before, "ann")
    [question] = person.next()
    first.kill()
    first.wait()
    with running(run, worker=False) as (_, after):
        assert {**after, "pid": 0} == {**before, "pid": 0}
        assert person.answer(question).status_code == 201


def test_the_server_never_loads_what_trains():
    code = "import prefrl.labelling.serve, sys; print([m for m in ('torch', 'stable_baselines3', 'gymnasium', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "lab-machine"])
def test_serving_the_network_must_be_spelled_out(run, host, capfd):
    assert main(["label", str(run), "--host", host]) == 2
    assert "--allow-remote" in capfd.readouterr().err
    assert not (run / "label-server.json").exists()


def test_serving_the_network_says_what_it_means(run):
    process = start(run, "--host", "0.0.0.0", "--allow-remote", worker=False)
    about = address(run, process)
    person_at(about, "ann").label(1)
    process.terminate()
    out, _ = process.communicate(timeout=LONG)
    assert "not encrypted" in out and f"http://{socket.gethostname()}:{about['port']}/" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "is not a run folder"), (["RUN", "--port", "70000"], "0 to 65535"),
        (["RUN", "--invite", ""], "printable"), (["RUN", "--store", "mysql://x/y"], "label store|database"), ([], "RUN"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said(run, arguments, says, capfd):
    try:
        status = main(["label", *[str(run) if one == "RUN" else one for one in arguments]])
    except SystemExit as stop:
        status = stop.code
    said = capfd.readouterr().err
    assert status == 2 and any(part in said for part in says.split("|")), said


def test_a_port_that_is_taken_is_named(run, capfd):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["label", str(run), "--port", str(port)]) == 2
    assert f"port {port}" in capfd.readouterr().err


def test_a_run_has_its_usual_port_so_that_a_page_finds_its_server_again(tmp_path):
    with listen("127.0.0.1", 0, tmp_path) as first:
        usual = first.getsockname()[1]
        with listen("127.0.0.1", 0, tmp_path) as second:
            assert second.getsockname()[1] != usual
    with listen("127.0.0.1", 0, tmp_path) as again:
        assert again.getsockname()[1] == usual
    assert is_loopback("localhost") and is_loopback("127.8.8.8") and is_loopback("::1") and not is_loopback("10.0.0.1")


# the render worker


def test_a_worker_that_dies_is_started_again_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    counts = tmp_path / "starts"
    code = f"import sys; open({str(counts)!r}, 'a').write('x'); sys.exit('install libegl1')"
    worker = supervisor.Supervisor([sys.executable, "-c", code], tmp_path / "log")
    worker.start()
    until(lambda: counts.exists() and len(counts.read_text()) >= 3)
    assert worker.trouble() == "clips cannot be drawn: install libegl1"
    worker.stop()
    assert not worker.is_alive()


def test_the_worker_goes_when_the_server_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 600)
    worker = supervisor.Supervisor(SLEEPER, tmp_path / "log")
    worker.start()
    until(lambda: worker.log.exists() and worker.log.read_text() == "up\n")
    worker.stop()
    assert worker.process.poll() == 0 and worker.trouble() is None  # by itself: it was not killed


def test_a_worker_that_starts_while_the_server_stops_goes_by_itself_too(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 600)
    worker = supervisor.Supervisor(SLEEPER, tmp_path / "log")
    real = subprocess.Popen

    def start_late(*arguments, **options):
        process = real(*arguments, **options)
        until(lambda: worker.log.read_text() == "up\n")
        worker._end.set()  # stop() has come, and has not seen this process
        return process

    monkeypatch.setattr(supervisor.subprocess, "Popen", start_late)
    worker.start()
    worker.join(600)
    assert worker.process.poll() == 0


def test_a_worker_that_does_not_listen_is_killed_also_if_it_starts_while_the_server_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 0.3)
    worker = supervisor.Supervisor([sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log")
    real, started = subprocess.Popen, []

    def start_late(*arguments, **options):
        started.append(real(*arguments, **options))
        worker.stop_now.set()
        until(lambda: worker._end.is_set())
        return started[0]

    worker.stop_now = threading.Event()
    monkeypatch.setattr(supervisor.subprocess, "Popen", start_late)
    worker.start()
    worker.stop_now.wait(LONG)
    worker.stop()
    until(lambda: started[0].poll() is not None)


def test_the_worker_goes_when_the_server_is_killed(run):
    process = start(run)
    address(run, process)
    until(lambda: psutil.Process(process.pid).children())
    [worker] = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


# backups


def test_a_backup_holds_every_answer_and_works_as_the_store(run):
    with LabelStore.open(run) as store:
        store.answer(store.open_queries(), [1, 0, 0.5, 1, 0, 1], labeller="ann")
        made = Backups(store, run).copy()
        expected = list(store.history())
    assert [json.loads(line) for line in made.with_suffix(".jsonl").read_text().splitlines()] == expected
    for path in run.glob("labels.db*"):
        path.unlink()
    shutil.copy(made, run / "labels.db")
    with LabelStore.open(run) as restored:
        assert list(restored.history()) == expected
        assert restored.feedback()[0].answer["preference"].tolist() == [1, 0, 0.5, 1, 0, 1]
        restored.withdraw(1, labeller="ann")


def test_backups_are_made_every_fifty_answers_or_ten_minutes_and_five_are_kept(tmp_path, monkeypatch):
    ids = make_run(tmp_path, 350, drawn=False)
    with LabelStore.open(tmp_path) as store:
        backups, made = Backups(store, tmp_path), []
        for start_ in range(0, 350, 10):
            store.answer(ids[start_ : start_ + 10], [1.0] * 10, labeller="ann")
            made += [path for path in [backups.keep_up()] if path]
        assert [path.name for path in made] == [f"labels-{n:08d}.db" for n in range(50, 351, 50)]
        assert (
            len(list((tmp_path / "backups").glob("*.db"))) == len(list((tmp_path / "backups").glob("*.jsonl"))) == KEPT
        )
        store.withdraw(1, labeller="ann")
        assert backups.keep_up() is None
        monkeypatch.setattr("prefrl.labelling.backups.EVERY_SECONDS", 0.0)
        assert backups.keep_up().name == "labels-00000351.db"
        assert Backups(store, tmp_path).keep_up() is None  # another server knows what was copied


def test_a_backup_that_cannot_be_written_ends_nothing(run, caplog):
    (run / "backups").write_text("in the way")
    with LabelStore.open(run) as store:
        store.answer([1], [1.0], labeller="ann")
        assert Backups(store, run).copy() is None
    assert "no backup of the labels could be written" in caplog.text


def test_an_installed_package_has_the_page():
    assert (resources.files("prefrl.labelling") / "static" / "index.html").is_file()
    assert "prefrl.labelling = static/*" in (ROOT / "setup.cfg").read_text()
