"""How a step is computed: options that may change its speed and its last bits, but not what is trained, and so are not
part of a trial.
"""

from __future__ import annotations

from typing import Literal

from xception.base.canonical import Config

__all__ = ["QUICK", "Execution"]


class Execution(Config):
    """Faster ways to compute a step on CUDA; each can be turned off. Only `compile` has an effect on a CPU.

    `cuda_graph` records a step and replays it (`xception.train.cuda_graph`). `depthwise` chooses the backend of each
    depthwise convolution by measurement (`xception.train.depthwise_choice`), or leaves it to PyTorch. `compile`
    compiles the network with torch.compile, once per architecture and process (`xception.train.compiled`).
    """

    cuda_graph: bool = True
    depthwise: Literal["measured", "torch"] = "measured"
    compile: bool = False


QUICK = Execution()
