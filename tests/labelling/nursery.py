"""Starts label servers quickly, for tests that kill many: everything is loaded once, and each server is a fork.

Reads run folders, one a line, and starts `prefrl label` for each. Says the process id.
"""

import os
import sys
import warnings

from prefrl.cli import main
from prefrl.labelling import serve, supervisor

warnings.filterwarnings("ignore")
supervisor.command = lambda *_: [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]  # no clips to draw

if __name__ == "__main__":
    assert serve
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            os._exit(main(["label", line.strip(), "--no-browser"]))
        print(pid, flush=True)
        os.waitpid(pid, 0)  # until it is killed
        print("gone", flush=True)
