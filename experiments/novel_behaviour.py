"""Recovering a novel behaviour: a backflip, and running on one leg, from answers of a scripted oracle; with videos.

    python -m experiments.novel_behaviour

Christiano et al. 2017 (3.2) needed 900 answers for Hopper's backflip and 800 for the one-legged Cheetah, from people.
Here the oracle of the task answers (envs/novel.py), so that the return can be measured. Settings
are those tuned for the two (prefrl/config/methods.py; the search: novel_search.py), for all arms alike. The videos are of the
first seed, whatever it came to: results/novel_behaviour-ENV.mp4.
"""

import sys

from experiments.figure import QUICK, RESULTS, Experiment
from prefrl.runs.api import load_run
from prefrl.runs.outcome import film

EXPERIMENT = Experiment(
    "novel_behaviour",
    {
        "environments": ["prefrl/HopperBackflip-v0", "prefrl/HalfCheetahOneLeg-v0"],
        "budgets": [900],
        "controls": ["true", "shuffled", "zero"],
    },
)


def main() -> None:
    study = EXPERIMENT.main(__doc__, ["--keep-runs", *sys.argv[1:]])
    if study is None or "--draw" in sys.argv:
        return
    arm = study.arm_names(controls=False)[0]
    for env, by_arm in study.table.items():
        if folder := by_arm[arm][0].get("folder"):
            run = load_run(folder)
            name = f"novel_behaviour-{env.split('/')[-1]}.mp4"
            print(film(run.agent, run.config, run.own, (QUICK if "--quick" in sys.argv else RESULTS) / name))
            run.close()
        else:
            print(f"no video of {env}: its run folder was not kept (see --cache)")


if __name__ == "__main__":
    main()
