"""The loss: a distance of masks and a cross entropy, weighted by the mix, on stems and on families of stems.

Per column and source a Charbonnier distance W·(√((m − centre)² + spread) − ½), W ~ |X|, spread ≥ ¼ (see targets).
Scaling its corner by |X| keeps the gradient alive for masks near zero, where a plain L1 pushes every uncertain stem to
silence. Beside it the cross entropy of the stems' shares of the power, which tells like instruments apart. A family
that is known as a sum alone is taught as one: its own distance and its share of the power, nothing of who is in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stemwright.nets.bandsplit import FAMILIES, SHARING, STEMS, Zone, family_of, two_level_softmax
from stemwright.train.learning.kernels import CENTRE_SCALE, CLASS_SHARE, SOFTNESS, SPREAD_SCALE, loss_and_gradient
from stemwright.train.learning.targets import SHARED_FAMILIES, SOURCES

FAMILY_SHARE = 1.0  # weight of the loss on families beside the loss on stems

# For every stem its family and the logit of its own; for every family the source that holds its target.
_TREE = (
    np.array([family_of(stem) for stem in STEMS]),
    np.array([len(FAMILIES) + SHARING.index(stem) if stem in SHARING else -1 for stem in STEMS]),
    np.array([
        len(STEMS) + SHARED_FAMILIES.index(i) if i in SHARED_FAMILIES else STEMS.index(family[0])
        for i, family in enumerate(FAMILIES)
    ]),
)  # fmt: skip


def separation_loss(logits: list[Tensor], zones: tuple[Zone, ...], targets: dict[str, Tensor]) -> Tensor:
    """Mean loss of logits per zone [bands, batch, frames, 2, LOGITS, columns]; on the CPU by a fused kernel."""
    total, first = logits[0].new_zeros((), dtype=torch.float32), 0
    rows = targets["weight"].numel()
    for zone, values in zip(zones, logits, strict=True):
        columns = zone.columns * zone.bands
        if values.device.type == "cpu":
            total = total + FusedLoss.apply(values, first, targets) / rows  # type: ignore[operator]
        else:
            total = total + zone_loss(values, first, targets) / rows
        first += columns
    return total


def zone_loss(logits: Tensor, first: int, targets: dict[str, Tensor]) -> Tensor:
    """The loss of one zone in plain torch: what the fused kernel computes, for other devices and for its test."""
    bands, _, _, _, _, columns = logits.shape
    masks = two_level_softmax(logits.float(), 4)
    families = [masks[..., [STEMS.index(s) for s in FAMILIES[i]], :].sum(4, keepdim=True) for i in SHARED_FAMILIES]
    both = torch.cat((masks, *families), 4).permute(1, 2, 3, 4, 0, 5).flatten(4)
    part = slice(first, first + bands * columns)
    centre = targets["centre"][..., part].float() / CENTRE_SCALE
    spread = targets["spread"][..., part].float() / SPREAD_SCALE
    distance = ((both - centre).square() + spread).sqrt() - 0.5
    share = targets["source_weight"] * source_shares(logits.device)
    weight = targets["weight"][..., part]
    power = _power(centre, spread, masks.permute(1, 2, 3, 4, 0, 5).flatten(4).detach(), targets["source_weight"])
    power = _told_apart(power, masks.permute(1, 2, 3, 4, 0, 5).flatten(4).detach(), targets["source_weight"])
    ratio = power / power.sum(3, keepdim=True)
    surprise = -(ratio * (both[:, :, :, : len(STEMS)] + 1e-9).log()).sum(3)
    bulk = CLASS_SHARE * torch.einsum("btck,b->", weight * surprise, share[:, : len(STEMS)].mean(1))
    return torch.einsum("btcsk,btck,bs->", distance, weight, share) + bulk


def _power(centre: Tensor, spread: Tensor, masks: Tensor, weight: Tensor) -> Tensor:
    """Powers of the sources [batch, frames, 2, sources, columns] over the mix's; families that nobody told from each
    other share what the known ones leave, |X − S|² = |X|² − 2·Re(X* S) + |S|², as the masks do.
    """
    power = (centre.square() + spread - SOFTNESS).clamp(min=0) + 1e-6
    sources = _TREE[2].tolist()
    known = (weight[:, sources] > 0)[:, None, None, :, None]
    without = centre.square() + spread - SOFTNESS - 2 * centre
    left = (1 + (without[:, :, :, sources] * known).sum(3, keepdim=True)).clamp(min=0) + 1e-6
    outer = torch.stack([masks[:, :, :, [STEMS.index(s) for s in family]].sum(3) for family in FAMILIES], 3)
    outer = outer * ~known
    shared = left * outer / outer.sum(3, keepdim=True).clamp(min=1e-20)
    power[:, :, :, sources] = torch.where(known, power[:, :, :, sources], shared)
    return power


def _told_apart(power: Tensor, masks: Tensor, weight: Tensor) -> Tensor:
    """Powers of the stems [batch, frames, 2, stems, columns]; that of a family known as a sum split as the masks are.

    The gradient inside such a family is none.
    """
    split = []
    for i, family in enumerate(FAMILIES):
        members = [STEMS.index(stem) for stem in family]
        shares = masks[:, :, :, members] / masks[:, :, :, members].sum(3, keepdim=True)
        known = (weight[:, members] > 0).all(1)[:, None, None, None, None]
        split += [torch.where(known, power[:, :, :, members], shares * power[:, :, :, [int(_TREE[2][i])]])]
    order = [STEMS.index(stem) for family in FAMILIES for stem in family]
    return torch.cat(split, 3)[:, :, :, np.argsort(order).tolist()]


def source_shares(device: torch.device | str = "cpu") -> Tensor:
    """How much every source counts: families by FAMILY_SHARE, a stem that is its own family as both."""
    shares = torch.ones(SOURCES)
    shares[len(STEMS) :] = FAMILY_SHARE
    for i, family in enumerate(FAMILIES):
        if i not in SHARED_FAMILIES:
            shares[STEMS.index(family[0])] += FAMILY_SHARE
    return shares.to(device)


class FusedLoss(torch.autograd.Function):
    """Loss and gradient of one zone in one pass over the logits."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        logits, first, targets = inputs
        e = logits.detach().to(torch.float32, copy=True).clamp_(-40, 40).exp_()
        share = targets["source_weight"] * source_shares()
        goals = tuple(targets[name].numpy() for name in ("centre", "spread", "weight"))
        sums = np.zeros((e.shape[0] * e.shape[1], e.shape[2]))
        # The exponentials are overwritten by the gradient: nothing of this size is allocated twice.
        loss_and_gradient(e.numpy(), first, (*goals, share.numpy()), _TREE, sums)
        ctx.gradient = e.to(logits.dtype)
        return torch.tensor(sums.sum(), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient.mul_(float(gradients[0])), None, None
