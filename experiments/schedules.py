"""Schedules: when the same 300 questions are asked, from evenly spread to many early.

python -m experiments.schedules
"""

from experiments.figure import Experiment, on_control_tasks

SCHEDULES = ["constant", "hyperbolic", "inverse_t", "inverse_quadratic", "rl_teacher", "bpref_decay"]
EXPERIMENT = Experiment("schedules", on_control_tasks(schedules=SCHEDULES))

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
