"""True return on a small pixel game against questions asked, with ceiling, floor and controls.

    python -m experiments.minatar                  ten seeds, 500,000 steps each
    python -m experiments.minatar --quick          two seeds of short runs, to see that it works
    python -m experiments.minatar --draw           the table and the figure from the committed results

Episodes' ends are hidden from the agent: in MinAtar a constant reward teaches to survive, which scores.
"""

from experiments.figure import Experiment
from prefrl.bench.figures import efficiency

SETTINGS = {
    "agent.n_steps": 128, "agent.n_epochs": 4, "agent.ent_coef": 0.01, "agent.anneal": 1.0, "agent.hidden": (),
    "agent.endless": True, "questions.length": 15, "reward.scale": 0.1,
}  # fmt: skip

EXPERIMENT = Experiment(
    "minatar",
    {
        "environments": ["MinAtar/SpaceInvaders-v1"],
        "budgets": [300, 1000],
        "controls": ["true", "true-scaled", "shuffled", "random", "constant", "zero"],
        "settings": {"steps": 500_000, **SETTINGS},
    },
    efficiency,
    {"budgets": [100], "controls": ["true", "zero"], "settings": {"steps": 20_000, **SETTINGS}},
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
