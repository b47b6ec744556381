"""Muon: momentum whose matrix is made orthogonal before the step (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).

torch.optim.Muon does the same in bfloat16, which processors without bfloat16 units emulate: here that costs more than
the backward pass. This one stays in float32 and treats all matrices of one shape as one batch.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest (semi-)orthogonal matrices, roughly; `matrices` is (count, rows, columns)."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x: torch.Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                directions = []
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None, "every matrix takes part in every step"
                    state = self.state[parameter]
                    if not state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    directions.append(gradient.lerp(state["momentum"], group["momentum"]))  # Nesterov
                # Scaled to the size of AdamW's steps: one learning rate serves both (Moonlight, arXiv 2502.16982).
                scale = 0.2 * max(shape) ** 0.5
                for parameter, step in zip(parameters, orthogonalised(torch.stack(directions)), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=group["lr"] * scale)
