"""Ensemble size: what more reward networks bring, to the reward itself and to the choice of questions.

    python -m experiments.ensemble_size

With random questions an ensemble only averages; with `disagreement` it also chooses, which one network cannot.
"""

from experiments.figure import Experiment, on_control_tasks

VARIANTS = {
    f"{members} {'network' if members == 1 else 'networks'}, {strategy}": {
        "reward.members": members,
        "questions.strategy": strategy,
    }
    for strategy in ("uniform", "disagreement")
    for members in (1, 2, 3, 5, 10)
    if members > 1 or strategy == "uniform"
}
EXPERIMENT = Experiment("ensemble_size", on_control_tasks(variants=VARIANTS))

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
