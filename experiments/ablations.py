"""The ablations of Christiano et al. 2017 (section 3.3): the whole method, and each time one thing less.

    python -m experiments.ablations

random queries   pairs at random instead of those that the ensemble disagrees on
no ensemble      one network, and so random queries
no online        all questions at the start: about what an untrained policy does
no regularising  without weight decay, and without the assumption that a tenth of the answers are coin flips
no segments      questions about single steps
target           regression on the true returns of the segments asked about, in place of comparisons

In the paper the offline variant does worst. Pendulum cannot show that: a random policy already swings through most of
what there is to know. LineTarget (line_target.py) is made to show it.
"""

from experiments.figure import Experiment, on_control_tasks

EXPERIMENT = Experiment(
    "ablations",
    on_control_tasks(
        environments=["LineTarget-v0", "Pendulum-v1", "prefrl/CartPole-v0"],
        variants={
            "the whole method": {},
            "random queries": {"questions.strategy": "uniform"},
            "no ensemble": {"reward.members": 1, "questions.strategy": "uniform"},
            "no online": {"questions.initial": 1.0},
            "no regularising": {"reward.l2": 0.0, "reward.error": 0.0},
            "no segments": {"questions.length": 1},
            "target": {"reward.objective": "returns"},
        },
    )
    | {"import": ["experiments.line_target"]},
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
