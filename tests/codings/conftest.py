"""What the tests of several codings need."""

from collections.abc import Callable

import jaxtyping
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture
def unchecked():
    """Without the tests' hook for shapes and types, which would be first to complain."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def widest() -> Callable[[Callable[[], object]], int]:
    """The most numbers that any tensor made in a call holds."""

    class Sizes(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            for x in made if isinstance(made, tuple | list) else [made]:
                if isinstance(x, torch.Tensor) and x.is_contiguous():
                    self.most = max(self.most, x.numel())
            return made

    def measured(run: Callable[[], object]) -> int:
        with Sizes() as sizes:
            run()
        return sizes.most

    return measured
