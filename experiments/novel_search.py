"""The search behind the settings of the backflip and the one-legged run, on seeds that no result reports.

    python -m experiments.novel_search

One setting at a time goes back to the default of all control tasks; what the other task needs was not searched.
"""

from experiments.figure import Experiment

VARIANTS = {
    "as tuned": {},
    "no entropy bonus": {"agent.ent_coef": 0.0},
    "entropy bonus 0.01": {"agent.ent_coef": 0.01},
    "segments of 30": {"questions.length": 30},
    "hyperbolic schedule": {"questions.schedule": "hyperbolic"},
    "discount 0.99, lambda 0.95": {"agent.gamma": 0.99, "agent.gae_lambda": 0.95},
}
EXPERIMENT = Experiment(
    "novel_search",
    {
        "environments": ["prefrl/HopperBackflip-v0"],
        "variants": VARIANTS,
        "budgets": [900],
        "controls": ["true"],
        "seeds": [*range(1000, 1003)],
        "settings": {"steps": 300_000},
    },
)

if __name__ == "__main__":
    EXPERIMENT.main(__doc__)
