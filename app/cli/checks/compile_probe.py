"""`python -m app.cli.checks.compile_probe DEVICE` compiles a tiny function as the server compiles its models.

`innerloop doctor` runs it in a process of its own, which it can end if a compiler never does.
"""

import sys

import torch

from app.device import choose_device
from app.service.compiled.compile_models import compile_function, inductor_options


def wave(inputs: torch.Tensor) -> torch.Tensor:
    """The function."""
    return (inputs.sin() * 4).sum(-1)


def main(name: str) -> None:
    """Compile it on a device. Raises RuntimeError if that fails, or if the compiled function gives other numbers."""
    device = choose_device(name)
    inputs = torch.linspace(-3, 3, 35, device=device).reshape(7, 5)
    compiled = compile_function(wave, (inputs,), (1,), inductor_options(device))
    if not torch.allclose(compiled(inputs), wave(inputs), atol=1e-5):
        raise RuntimeError("a compiled function gives other numbers than the same function uncompiled")


if __name__ == "__main__":
    main(sys.argv[1])
