"""A device that every machine has and that is not the CPU, to find tensors that were left on the wrong one."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ELSEWHERE = "meta"
COPIES = {"aten::_to_copy", "aten::copy_"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}  # by tensors on the CPU, too


class OneDevice(TorchDispatchMode):
    """Within, an operation on tensors of several devices raises RuntimeError, as on a GPU.

    Torch's device without data stands in for the GPU. What is brought from it to the CPU is ones.
    """

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, function._schema.name
        if name == "aten::_local_scalar_dense" and args[0].is_meta:
            return torch.ones((), dtype=args[0].dtype).item()
        if name in COPIES:
            return self._copied(function, args, kwargs)
        devices = {each.device.type for each in _tensors((args, kwargs)) if each.ndim}
        if name in INDEXED and devices == {ELSEWHERE, "cpu"}:
            devices.discard("cpu" if args[0].is_meta else "")
        if len(devices) > 1:
            raise RuntimeError(f"{name} of tensors on {' and '.join(sorted(devices))}")
        return function(*args, **kwargs)

    def _copied(self, function: Any, args: Any, kwargs: Any) -> torch.Tensor:
        source, target = args[-1] if len(_tensors(args)) > 1 else args[0], args[0]
        to = target.device if target is not source else torch.device(kwargs.get("device") or source.device)
        if not source.is_meta or to.type != "cpu":
            return function(*args, **kwargs)
        ones = torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        return ones if target is source else target.copy_(ones)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, torch.Tensor)]
