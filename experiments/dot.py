"""A policy learned from pictures: true return against questions asked, with ceiling, floor and controls.

    python -m experiments.dot                  ten seeds, 40,000 steps each: about half an hour on two cores

The task is the smallest that has to be seen: a dot in a picture of 16 x 16. Policy and reward model are convolutions.
Its settings (`prefrl train --env prefrl/Dot-v0 --dry-run`) were found on seeds 1001 and 1002.
"""

from experiments.figure import Experiment
from prefrl.bench.figures import efficiency

EXPERIMENT = Experiment(
    "dot",
    {
        "environments": ["prefrl/Dot-v0"],
        "budgets": [30, 100],
        "controls": ["true", "shuffled", "random", "constant", "zero"],
        "control_seeds": 5,
        "settings": {"steps": 40_000},
        "evaluation": 20_000,
    },
    efficiency,
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
