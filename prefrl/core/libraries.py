"""How the numerical libraries are used: on one thread, and without torch's compiler."""

from __future__ import annotations

import sys
from inspect import unwrap

import torch
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Let torch and numpy, and whatever else has loaded a BLAS by now, compute on one thread in this process.

    Weights differ between thread counts, and small networks gain nothing from more.
    """
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")


def leave_out_compiler() -> None:
    """Keep torch from importing its compiler, which takes 1.5 s and 100 MB, when the first optimiser is made.

    All that it is imported for is to mark these methods as not to be compiled; torch keeps the marked function beside the
    plain one. Where torch keeps it differently, or the compiler is there already, nothing changes. Later in the process,
    a function that adds parameters to an optimiser can no longer be compiled.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        plain = unwrap(getattr(torch.optim.Optimizer, method))
        plain.__dict__.setdefault("__dynamo_disable", plain)
