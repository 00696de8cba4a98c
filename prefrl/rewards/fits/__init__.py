"""Ways of fitting a reward ensemble to answers, by name."""

from collections.abc import Callable

from prefrl.config.settings import RewardConfig
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.fits.base import Fit, Fitted, Labelled, TrainingData
from prefrl.rewards.fits.bootstrap import Bootstrap
from prefrl.rewards.fits.fast_bootstrap import FastBootstrap, is_known


def _bootstrap(ensemble: RewardEnsemble, settings: RewardConfig, seed: int) -> Fit:
    fast = settings.fast == "auto" and is_known(ensemble)
    return (FastBootstrap if fast else Bootstrap)(ensemble, settings, seed)


FITS: dict[str, tuple[Callable[[RewardEnsemble, RewardConfig, int], Fit], str]] = {
    "bootstrap": (_bootstrap, "each member on a sample of the answers, validated on the rest (Christiano et al. 2017)"),
}
"""Name -> how it is made of ensemble, settings and the run's seed, and a line for `prefrl list`."""

__all__ = ["FITS", "Fit", "Fitted", "Labelled", "TrainingData"]
