"""How a step is computed: what may change its speed and its last bits, but not what is trained, and so is no part of a
trial.
"""

from __future__ import annotations

from typing import Literal

from xception.base.canonical import Config

__all__ = ["PLAIN", "QUICK", "Execution"]


class Execution(Config):
    """The quick ways on CUDA, each of which can be turned off for the plain one; only `compile` has an effect on a CPU.

    `cuda_graph` records a step and repeats it (`xception.train.cuda_graph`). `depthwise` lets the backend of each
    depthwise convolution be chosen by measurement (`xception.train.depthwise_choice`), or leaves it to PyTorch.
    `compile` puts the network through torch.compile, once for an architecture in a process (`xception.train.compiled`).
    """

    cuda_graph: bool = True
    depthwise: Literal["measured", "torch"] = "measured"
    compile: bool = False


QUICK = Execution()
PLAIN = Execution(cuda_graph=False, depthwise="torch")  # the reference
