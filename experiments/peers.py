"""Peers: prefrl beside `imitation` at equal labels: return, CPU time, memory. Same machine, interleaved seed by seed.

    python -m experiments.peers                 10 seeds of Pendulum, 300 answers; sets imitation up first
    python -m experiments.peers --quick         one seed of short runs, into runs/quick
    python -m experiments.peers --draw          the table from the committed results

imitation wants older versions than ours, so it gets an environment of its own (runs/peers). Where it cannot be
installed, the experiment says so and ends. Both learn with PPO of the same settings from a perfect oracle (so ours
does without its annealed learning rate and its cost of bounds); queries, schedule and fitting are each library's own. A process per run, and its CPU time and peak memory are the process's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments.figure import QUICK, RESULTS
from prefrl.bench.blocks import ReportTable, markdown
from prefrl.bench.result_tables import shown
from prefrl.bench.statistics import interquartile_mean, probability_of_improvement
from prefrl.bench.study import interval
from prefrl.core.files import write_durably
from prefrl.runs.folder import machine

PEER_FOLDER = Path("runs/peers")
PINS = ["imitation==1.0.1", "stable-baselines3==2.2.1", "numpy<2", "torch<2.14", "setuptools<81"]
LENGTH, EPISODES = 25, 500
Results = dict[str, list[dict[str, float]]]  # by library, one a seed

OURS = """
import json, resource, sys, time
from prefrl.runs import api
seed, steps, questions, length, episodes = map(int, sys.argv[1:])
started = time.process_time()
result = api.train("Pendulum-v1", seed=seed, steps=steps, quiet=True, folder=sys.stdin.read(),
    agent={"batch_size": 256, "anneal": 0, "bounds": 0}, questions={"budget": questions, "length": length},
    record={"video": False, "tensorboard": False, "evaluation_episodes": 1})
seconds = time.process_time() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
earned = api.evaluate(result.folder, episodes).mean
print(json.dumps({"true_return": earned, "cpu_seconds": seconds, "megabytes": memory}))
"""


class Unavailable(Exception):
    """The peer cannot be had here."""


def peer_python() -> Path:
    """The Python of imitation's environment, which is made if it is not there. Raises Unavailable."""
    python = PEER_FOLDER / "bin" / "python"
    steps = [[sys.executable, "-m", "venv", str(PEER_FOLDER)], [str(python), "-m", "pip", "install", "--quiet", *PINS]]
    works = [str(python), "-c", "import imitation.algorithms.preference_comparisons"]
    if python.exists() and subprocess.run(works, capture_output=True).returncode == 0:
        return python
    print(f"setting imitation up in {PEER_FOLDER}: some minutes", flush=True)
    for line in [*steps, works]:
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise Unavailable(f"{' '.join(line)}: {last}")
    return python


def measured(line: list[str], given: str = "") -> dict[str, float]:
    """What a run in a process of its own printed last."""
    done = subprocess.run(line, input=given, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{' '.join(line[:3])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run(python: Path, seeds: int, steps: int, questions: int, folder: Path) -> Results:
    """Run ours, theirs, ours, ..."""
    script = Path(__file__).with_name("peer_imitation.py")
    found: Results = {"prefrl": [], "imitation": []}
    for seed in range(seeds):
        numbers = [str(n) for n in (seed, steps, questions, LENGTH, EPISODES)]
        found["prefrl"].append(measured([sys.executable, "-c", OURS, *numbers], str(folder / f"run-{seed}")))
        found["imitation"].append(measured([str(python), str(script), *numbers]))
        print(f"seed {seed}:", " / ".join(f"{runs[-1]['true_return']:.0f}" for runs in found.values()), flush=True)
    return found


def table(found: Results) -> ReportTable:
    head = ["library", "true return, IQM [95 % interval]", "all seeds", "P(beats the other)", "CPU s", "peak MB"]
    rows = []
    earned = {name: np.array([one["true_return"] for one in results]) for name, results in found.items()}
    for name, results in found.items():
        others = earned["imitation" if name == "prefrl" else "prefrl"]
        rows.append([
            name, shown(interval(interquartile_mean, earned[name])), ", ".join(f"{value:.0f}" for value in sorted(earned[name])),
            shown(interval(probability_of_improvement, earned[name], others), ".2f"),
            *(f"{np.mean([one[key] for one in results]):.1f}" for key in ("cpu_seconds", "megabytes")),
        ])  # fmt: skip
    return ReportTable(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds, from 0 on (default 10)")
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of each run (default 100000)")
    parser.add_argument("--questions", type=int, default=300, help="answers of the oracle (default 300)")
    parser.add_argument("--quick", action="store_true", help="one seed of 8,192 steps and 20 answers")
    parser.add_argument("--draw", action="store_true", help="only the table, from the committed results")
    options = parser.parse_args()
    file = (QUICK if options.quick else RESULTS) / "peers.json"
    if options.quick:
        options.seeds, options.steps, options.questions = 1, 8192, 20
    if not options.draw:
        try:
            python = peer_python()
        except Unavailable as fault:
            print(f"skipped: imitation cannot be installed here ({fault})")
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        PEER_FOLDER.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=PEER_FOLDER) as folder:
            found = run(python, options.seeds, options.steps, options.questions, Path(folder))
        about = {"steps": options.steps, "questions": options.questions, "peer": PINS, **machine()}
        write_durably(file, json.dumps({"about": about, "results": found}, indent=1).encode())
    elif not file.exists():
        parser.error(f"there is no {file} to draw yet; run it first, without --draw")
    content = json.loads(file.read_text())
    print(f"{content['about']['steps']} steps, {content['about']['questions']} questions, Pendulum-v1\n")
    print(markdown([table(content["results"])]))


if __name__ == "__main__":
    main()
