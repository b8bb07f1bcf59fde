"""Muon for kernels, Adam for everything else, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a weight matrix by the nearest
semi-orthogonal matrix, so that all its directions learn at the same rate.
``torch.optim.Muon`` takes matrices only; here the kernel ``(in, out, k, k)`` of a deconvolution,
or ``(out, in, k, k)`` of a convolution, is taken as the ``(out, in * k * k)`` matrix that it
multiplies patches with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

#: Coefficients of the quintic Newton-Schulz iteration of Jordan et al.
_QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalise(matrices: Tensor) -> Tensor:
    """Move the singular values of each matrix towards 1 by Newton-Schulz iteration.

    Args:
        matrices: ``(n, rows, columns)``.

    Returns:
        Same shape and dtype. Singular values of more than 0.3 % of the matrix's norm end between
        0.6 and 1.3; smaller ones grow up to 485-fold (3.4445 to the fifth) and stay below.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    # Every step multiplies x from the left by a polynomial of x x^T. Iterating on these small
    # square matrices, and multiplying x once at the end, takes a third of the time.
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x.mT if tall else x


def parameter_groups(net: nn.Module) -> list[dict[str, Any]]:
    """Group a network's parameters so that an optimizer can tell how a kernel is laid out.

    Returns:
        All parameters but the kernels of convolutions; then these, marked ``convolution``, if
        there are any.
    """
    kernels = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    chosen = {id(kernel) for kernel in kernels}
    others = [p for p in net.parameters() if id(p) not in chosen]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": kernels, "convolution": True}]
    return [group for group in groups if group["params"]]


def fuse(optimizer: Optimizer) -> None:
    """Let Adam take its step in one kernel, also after a checkpoint brought its own options.

    Unlike the default form it reads no step counter on the host.
    """
    if not isinstance(optimizer, torch.optim.Adam):
        return
    for group in optimizer.param_groups:
        if group.get("foreach") or group.get("capturable") or group.get("differentiable"):
            continue
        if group.get("fused") is None:
            group["fused"] = True
        for p in group["params"]:
            if "step" in optimizer.state.get(p, {}):
                step = optimizer.state[p]["step"]
                optimizer.state[p]["step"] = step.to(p.device, torch.float32)


def takes_found_inf(optimizer: Optimizer) -> bool:
    """Say whether an optimizer skips its step on the device if its ``found_inf`` is 1.

    Fused optimizers of PyTorch do. SGD's momentum is not initialised by a skipped first step.
    """
    if isinstance(optimizer, MuonAdam):
        return True
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and isinstance(optimizer, torch.optim.Adam)


class MuonAdam(Optimizer):
    """Muon on kernels with several input and output channels, Adam on the other parameters.

    Args:
        params: Parameters, or groups of them; those with four dimensions, of which the first
            two exceed 1, are optimised by Muon, as kernels of deconvolutions unless their group
            is marked ``convolution``, see :func:`parameter_groups`.
        lr: Root mean square of Muon's change to a weight in one step, over 0.2 (so that it
            compares with Adam's learning rate).
        momentum: Of Muon, with Nesterov's look-ahead.
        adam_lr: Adam's learning rate.
        betas: Adam's averaging factors.
        eps: Added to Adam's denominator.

    Attributes:
        found_inf: A scalar; 1 leaves parameters and state as they are, whatever the gradients.

    Raises:
        ValueError: If a learning rate is not positive, or another number out of range.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 4e-3,
        momentum: float = 0.95,
        adam_lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if lr <= 0 or adam_lr <= 0:
            raise ValueError(f"learning rates must be above 0, got lr={lr}, adam_lr={adam_lr}")
        if not all(0 <= factor < 1 for factor in (momentum, *betas)) or eps < 0:
            raise ValueError(
                f"momentum={momentum} and betas={tuple(betas)} must be at least 0 and below 1, "
                f"eps={eps} at least 0"
            )
        #: Kernels of deconvolutions (False) and of convolutions (True).
        kernels: dict[bool, list[Tensor]] = {False: [], True: []}
        others: list[Tensor] = []
        for given in list(params):
            group: dict[str, Any] = given if isinstance(given, dict) else {"params": [given]}
            for p in group["params"]:
                if p.dim() == 4 and min(p.shape[:2]) > 1:
                    kernels[group.get("convolution", False)].append(p)
                else:
                    others.append(p)
        muon = {"lr": lr, "momentum": momentum, "muon": True}
        groups: list[dict[str, Any]] = [
            {"params": kernels[False], **muon},
            {"params": kernels[True], **muon, "convolution": True},
            {"params": others, "lr": adam_lr, "betas": tuple(betas), "eps": eps, "muon": False},
        ]
        super().__init__([g for g in groups if g["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; parameters without a gradient are left alone."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (self._muon if group["muon"] else self._adam)(group)
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Bring the step counters of older checkpoints to the parameters' device."""
        super().__setstate__(state)
        for p, values in self.state.items():
            if "step" in values:
                values["step"] = values["step"].to(p.device)

    def _muon(self, group: dict[str, Any]) -> None:
        kernels = [p for p in group["params"] if p.grad is not None]
        for p in kernels:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for p in kernels:
            by_shape.setdefault(p.shape, []).append(p)
        for members in by_shape.values():
            self._muon_step(members, group)

    def _muon_step(self, kernels: list[Tensor], group: dict[str, Any]) -> None:
        """Update kernels of one shape."""
        momenta = [self.state[p]["momentum"] for p in kernels]
        momentum = torch.stack(momenta)
        gradient = torch.stack([cast(Tensor, p.grad) for p in kernels])
        if self.found_inf is not None:
            gradient = torch.where(self.found_inf.bool(), momentum, gradient)
        momentum.lerp_(gradient, 1 - group["momentum"])
        torch._foreach_copy_(momenta, list(momentum.unbind()))
        look_ahead = gradient.lerp_(momentum, group["momentum"])
        if not group.get("convolution"):
            look_ahead = look_ahead.transpose(1, 2)
        matrices = look_ahead.flatten(2)
        size = group["lr"] * 0.2 * math.sqrt(max(matrices.shape[1:]))
        updates = orthogonalise(matrices.float()).view(look_ahead.shape)
        if not group.get("convolution"):
            updates = updates.transpose(1, 2)
        if self.found_inf is not None:
            updates = updates * (1 - self.found_inf)
        torch._foreach_add_(kernels, list(updates.to(kernels[0].dtype)), alpha=-size)

    def _adam(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        for p in params:
            if not self.state[p]:
                self.state[p] |= {
                    "step": torch.zeros((), device=p.device),
                    "mean": torch.zeros_like(p),
                    "square": torch.zeros_like(p),
                }
        states = [self.state[p] for p in params]
        adam(
            params,
            [cast(Tensor, p.grad) for p in params],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            found_inf=self.found_inf,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )
