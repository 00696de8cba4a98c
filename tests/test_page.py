"""The label page beside a run: it ends with the run."""

import subprocess
import sys
import threading

from prefrl.runs import label_page as page

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def test_a_server_that_does_not_end_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "PATIENCE", 0.2)
    server = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert server.stdout.readline()
    started, over = threading.Event(), threading.Event()
    monkeypatch.setattr(page.subprocess, "Popen", lambda *_, **__: started.set() or server)
    keeper = threading.Thread(target=page._keep_serving, args=([], tmp_path, over))
    keeper.start()
    assert started.wait(300)
    over.set()
    keeper.join(300)
    assert not keeper.is_alive()
    assert server.poll() is not None
