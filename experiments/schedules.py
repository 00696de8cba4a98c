"""Schedules: when the same 300 questions are asked, from evenly spread to many early.

python -m experiments.schedules
"""

from experiments.figure import CONTROL_TASKS, Experiment

EXPERIMENT = Experiment(
    "schedules",
    {
        "environments": CONTROL_TASKS,
        "schedules": ["constant", "hyperbolic", "inverse_t", "inverse_quadratic", "rl_teacher", "bpref_decay"],
        "budgets": [300],
        "settings": {"steps": 100_000},
    },
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
