"""Query strategies at equal budgets: which pairs to ask about, from random ones to those that tell most.

    python -m experiments.query_strategies

100 and 300 questions. "Label-efficient" is claimed against random pairs (`uniform`) only.
"""

from experiments.figure import Experiment, on_control_tasks

STRATEGIES = ["uniform", "disagreement", "entropy", "bald", "volume", "kcenter", "disagreement_kcenter"]
EXPERIMENT = Experiment("query_strategies", on_control_tasks(strategies=STRATEGIES, budgets=[100, 300]))

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
