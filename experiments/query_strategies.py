"""Query strategies at equal budgets: which pairs to ask about, from random ones to those that tell most.

    python -m experiments.query_strategies

100 and 300 questions. "Label-efficient" is claimed against random pairs (`uniform`) only.
"""

from experiments.figure import CONTROL_TASKS, Experiment

EXPERIMENT = Experiment(
    "query_strategies",
    {
        "environments": CONTROL_TASKS,
        "strategies": ["uniform", "disagreement", "entropy", "bald", "volume", "kcenter", "disagreement_kcenter"],
        "budgets": [100, 300],
        "settings": {"steps": 100_000},
    },
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
