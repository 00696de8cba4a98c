"""The table of B-Pref (Lee et al. 2021) on control tasks: how much each slip of a teacher costs, normalised.

    python -m experiments.bpref_teachers

Oracle, mistake (10 % of answers turned round), noisy (Bradley-Terry, beta 1), skip, equal and myopic (gamma .9), in units of
the task's own spread of returns; 300 questions each. Score 1 is the agent on the true reward in the same steps.
"""

from experiments.figure import Experiment, on_control_tasks

TEACHERS = ["oracle", "mistake", "noisy", "skip", "equal", "myopic"]
EXPERIMENT = Experiment("bpref_teachers", on_control_tasks(teachers=TEACHERS))

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
