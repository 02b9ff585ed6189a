"""Compiled loops of the training: features and targets of examples, the loss and its gradient."""

from __future__ import annotations

import numba
import numpy as np

_jit = numba.njit(fastmath=True, cache=True, nogil=True, error_model="numpy")
CENTRE_SCALE, SPREAD_SCALE = 8192.0, 2047.0  # of the int16 that hold them: centre ±4, spread up to 16
CLASS_SHARE = 1.0  # weight of the cross entropy beside the distance of masks
SOFTNESS = 0.25  # square of the mask error where the loss turns from square to linear


@_jit
def play_at_speed(taken, speed, out):
    """Fills out [2, n] with int16 samples [m, 2] played `speed` times as fast (Catmull-Rom); zeros beyond their end."""
    scale = np.float32(1 / 32768)
    last = min(out.shape[1], int((taken.shape[0] - 4) / speed) + 1) if taken.shape[0] > 3 else 0
    for i in range(last):
        place = i * speed
        k = int(place)
        x = np.float32(place - k)
        for c in range(2):
            a, b = np.float32(taken[k, c]), np.float32(taken[k + 1, c])
            d, e = np.float32(taken[k + 2, c]), np.float32(taken[k + 3, c])
            bend = (3 * (b - d) + e - a) * x + 2 * a - 5 * b + 4 * d - e
            out[c, i] = scale * (b + np.float32(0.5) * x * (d - a + x * bend))


@_jit
def mix_parts(parts, gains, frame_gains):
    """Applies the gains of the bins in place; returns the mix after the compressor and its mean power."""
    count, channels, frames, bins = parts.shape
    mix = np.zeros((channels, frames, bins), np.complex64)
    power = 0.0
    for c in range(channels):
        for t in range(frames):
            for i in range(count):
                for f in range(bins):
                    parts[i, c, t, f] *= gains[i, f]
                    mix[c, t, f] += parts[i, c, t, f]
            total = np.float32(0)
            for f in range(bins):
                mix[c, t, f] *= frame_gains[t]
                total += mix[c, t, f].real ** 2 + mix[c, t, f].imag ** 2
            power += total
    return mix, power / (channels * frames * bins)


@_jit
def write_features(mix, slope, edges, out):
    """Level, balance and width of every column (see BandSplit.features)."""
    _, frames, _ = mix.shape
    tiny, two = np.float32(1e-10), np.float32(2)
    for t in range(frames):
        for k in range(edges.size - 1):
            first, last = edges[k], edges[k + 1]
            left, right, both = np.float32(0), np.float32(0), np.float32(0)
            for f in range(first, last):
                g = slope[f] * slope[f]
                x, y = mix[0, t, f], mix[1, t, f]
                left += g * (x.real * x.real + x.imag * x.imag)
                right += g * (y.real * y.real + y.imag * y.imag)
                both += g * (x.real * y.real + x.imag * y.imag)
            n = np.float32(last - first)
            whole = (left + right) / n + tiny
            side = max(whole - two * both / n, np.float32(0)) / (two * whole)
            out[t, k, 0] = np.sqrt(np.sqrt(np.sqrt(whole)))
            out[t, k, 1] = (right - left) / (n * whole)
            out[t, k, 2] = np.sqrt(np.sqrt(side))


@_jit
def target_columns(parts, members, frame_gains, grid, out, levels):
    """Writes centre, spread and weight of every column; adds the emphasised level of each source, the mix last.

    parts [count, 2, frames, bins]; members: stem and family source of each part; grid: column edges and emphasis.
    """
    count, channels, frames, _ = parts.shape
    sources = out[0].shape[2]
    bins = grid[0][-1]
    mix, own = np.empty(bins, np.complex64), np.empty((sources, bins), np.complex64)
    present = np.zeros(sources, np.bool_)
    for i in range(count):
        for kind in range(2):
            if members[kind][i] >= 0:
                present[members[kind][i]] = True
    for c in range(channels):
        for t in range(frames):
            mix[:] = 0
            own[:] = 0
            for i in range(count):
                _add(parts[i, c, t], mix)
                for kind in range(2):
                    if members[kind][i] >= 0:
                        _add(parts[i, c, t], own[members[kind][i]])
            _write_columns(mix, own, present, frame_gains[t], grid, (out[0][t, c], out[1][t, c], out[2][t, c]), levels)


@_jit
def _write_columns(mix, own, present, gain, grid, out, levels):
    edges, emphasis = grid
    centre, spread, weight = out
    for k in range(emphasis.size):
        first, last = edges[k], edges[k + 1]
        a = _power(mix, first, last) + np.float32(1e-20)
        w = emphasis[k] * gain
        weight[k] = w * np.sqrt(a)
        levels[-1] += weight[k]
        for s in range(present.size):
            if present[s]:
                b = np.float32(0)
                for f in range(first, last):
                    b += mix[f].real * own[s, f].real + mix[f].imag * own[s, f].imag
                power = _power(own[s], first, last)
                levels[s] += w * np.sqrt(power)
                m = min(max(b / a, np.float32(-3.9)), np.float32(3.9))
                # At a clamped m the parabola is not the true one, but the mix is almost silent there.
                rest = min(max(power / a - m * m, np.float32(0)), np.float32(15.7)) + np.float32(SOFTNESS)
                centre[s, k] = np.int16(np.round(m * np.float32(CENTRE_SCALE)))
                spread[s, k] = np.int16(rest * np.float32(SPREAD_SCALE))


@_jit
def _power(x, first, last):
    total = np.float32(0)
    for f in range(first, last):
        total += x[f].real ** 2 + x[f].imag ** 2
    return total


@numba.njit(fastmath=True, cache=True, nogil=True, error_model="numpy", parallel=True)
def loss_and_gradient(e, first, goals, tree, sums):
    """Replaces exponentials of logits [bands, batch, frames, 2, logits, columns] by the loss's gradient; sums the loss.

    goals: centre, spread, weight, share (0 for a stem that nobody told from its family); tree: a stem's family and
    member logit, a family's source.
    """
    centre, spread, weight, share = goals
    family, target = tree[0], tree[2]
    bands, batch, frames, channels, _, columns = e.shape
    stems, families = family.size, target.size
    sources, block = centre.shape[3], 16
    for kb in numba.prange(bands * batch):
        k, b = kb // batch, kb % batch
        start = first + k * columns
        size = block * channels * columns
        x = np.empty((e.shape[4], size), np.float32)
        goal = np.empty((2 * sources + 1, size), np.float32)
        scratch = np.empty((3 * stems + 2 * families + 2, size), np.float32)
        for t in range(0, frames, block):
            rows = min(block, frames - t)
            n = rows * channels * columns
            _gather(e[k, b, t : t + rows], x)
            _gather_goals(
                (centre[b, t : t + rows], spread[b, t : t + rows], weight[b, t : t + rows]), start, columns, goal
            )
            _gradient_of_columns(x[:, :n], goal[:, :n], share[b], tree, scratch[:, :n])
            _scatter(x, e[k, b, t : t + rows])
            sums[kb, t] = scratch[-1, :n].sum()


@_jit
def _gather(e, x):
    """e [frames, channels, logits, columns] → x [logits, frames · channels · columns]: long rows suit vector units."""
    frames, channels, logits, columns = e.shape
    for t in range(frames):
        for c in range(channels):
            at = (t * channels + c) * columns
            for i in range(logits):
                for p in range(columns):
                    x[i, at + p] = e[t, c, i, p]


@_jit
def _scatter(x, e):
    frames, channels, logits, columns = e.shape
    for t in range(frames):
        for c in range(channels):
            at = (t * channels + c) * columns
            for i in range(logits):
                for p in range(columns):
                    e[t, c, i, p] = x[i, at + p]


@_jit
def _gather_goals(goals, start, columns, out):
    centre, spread, weight = goals
    frames, channels, sources, _ = centre.shape
    for t in range(frames):
        for c in range(channels):
            at = (t * channels + c) * columns
            for s in range(sources):
                for p in range(columns):
                    out[s, at + p] = np.float32(centre[t, c, s, start + p]) * np.float32(1 / CENTRE_SCALE)
                for p in range(columns):
                    out[sources + s, at + p] = np.float32(spread[t, c, s, start + p]) * np.float32(1 / SPREAD_SCALE)
            for p in range(columns):
                out[2 * sources, at + p] = weight[t, c, start + p]


# Plain loops, each on few arrays: the compiler makes vector instructions of these only.


@_jit
def _gradient_of_columns(x, goal, share, tree, scratch):
    """x [logits, n], goal [centres, spreads, weight; n]; each column's loss is left in the last row of scratch."""
    family, member, target = tree
    stems, families, sources = family.size, target.size, share.size
    own, slope, distance = scratch[:stems], scratch[stems : 2 * stems], scratch[2 * stems : 3 * stems]
    outer, mean, loss = scratch[-2 * families - 2 : -families - 2], scratch[-families - 2 : -2], scratch[-1]
    _shares(x, tree, own, outer, scratch)
    _clear(loss)
    for f in range(families):
        _clear(mean[f])
    for s in range(stems):
        _multiply(own[s], outer[family[s]], slope[s])
        _slope(slope[s], goal[s], goal[sources + s], distance[s])
        _weigh(slope[s], distance[s], goal[-1], share[s], loss)
        _add_product(own[s], slope[s], mean[family[s]])
    for s in range(stems):
        if member[s] >= 0:
            _gradient(own[s], outer[family[s]], slope[s], mean[family[s]], x[member[s]])
    total = scratch[-2]
    _add_cross_entropy(x, goal, share, tree, scratch)
    _clear(total)
    for f in range(families):
        s = target[f]
        if s >= stems:
            slope[0] = outer[f]
            _slope(slope[0], goal[s], goal[sources + s], distance[0])
            _weigh(slope[0], distance[0], goal[-1], share[s], loss)
            _add(slope[0], mean[f])
        _add_product(outer[f], mean[f], total)
    own[0] = 1
    bulk = slope[1]
    for f in range(families):
        _gradient(outer[f], own[0], mean[f], total, x[f])
        _add_class_gradient(bulk, outer[f], own[0], slope[2 + f], x[f])


@_jit
def _add_cross_entropy(x, goal, share, tree, scratch):
    """Adds the cross entropy of power ratios to the loss, its gradient to the stems' logits.

    A square error behind a softmax of seven stems hardly moves it away from equal parts: its gradient holds q·(1 − q).
    Leaves each column's weight in the second row of slopes and the families' shares of the power in those after it.
    """
    family, member, target = tree
    stems, families = family.size, target.size
    own, slope, ratio = scratch[:stems], scratch[stems : 2 * stems], scratch[2 * stems : 3 * stems]
    outer, total, loss = scratch[-2 * families - 2 : -families - 2], scratch[-2], scratch[-1]
    bulk, shares = slope[1], slope[2 : 2 + families]
    _clear(bulk)
    _share_out_rest(goal, share, target, outer, shares, total)
    for s in range(stems):
        is_told, is_known = _is_told_apart(family[s], family, share), share[target[family[s]]] > 0
        known = s if is_told else target[family[s]]
        if is_known:
            _power_ratio(goal[known], goal[share.size + known], ratio[s])
        else:
            ratio[s] = shares[family[s]]
        if not is_told:  # split as the net does, the family's share says nothing of who is in it
            _multiply(ratio[s], own[s], ratio[s])
    _clear(total)
    for f in range(families):
        _clear(shares[f])
    for s in range(stems):
        _add(ratio[s], total)
    for s in range(stems):
        _divide(ratio[s], total, ratio[s])
        _add(ratio[s], shares[family[s]])
    # One weight for all stems of an example: were it larger where quiet stems sound, they would be given too much.
    _add_scaled(goal[-1], share[:stems].mean() * np.float32(CLASS_SHARE), bulk)
    for s in range(stems):
        _subtract_log(ratio[s], own[s], outer[family[s]], bulk, loss)
        if member[s] >= 0:
            _add_class_gradient(bulk, own[s], shares[family[s]], ratio[s], x[member[s]])


@_jit
def _share_out_rest(goal, share, target, outer, shares, rest):
    """Writes to `shares` the power of families that nobody told from each other: what the known ones leave of the mix,
    split as the net does. `rest` is room to reckon in."""
    unknown = 0
    for f in range(target.size):
        unknown += share[target[f]] == 0
    if unknown == 0:
        return
    left = shares[0]
    left[:] = 1
    _clear(rest)
    for f in range(target.size):
        if share[target[f]] == 0:
            _add(outer[f], rest)
        else:
            _take_away(goal[target[f]], goal[share.size + target[f]], left)
    for p in range(rest.size):
        rest[p] = (max(left[p], np.float32(0)) + np.float32(1e-6)) / rest[p]
    for f in range(target.size):
        _multiply(outer[f], rest, shares[f])


@_jit
def _take_away(centre, spread, left):
    """The power left of a mix without a source, by its parabola: |X − S|² = |X|² − 2·Re(X* S) + |S|²."""
    for p in range(left.size):
        left[p] += centre[p] * centre[p] + spread[p] - np.float32(SOFTNESS) - np.float32(2) * centre[p]


@_jit
def _is_told_apart(f, family, share):
    """Whether all stems of a family have targets of their own."""
    for s in range(family.size):  # noqa: SIM110 - numba compiles no generators
        if family[s] == f and share[s] == 0:
            return False
    return True


@_jit
def _shares(x, tree, own, outer, scratch):
    """The two softmaxes: `outer` [families, n] sums to one, `own` [stems, n] inside each family."""
    family, member, target = tree
    total, inside = scratch[-2], scratch[2 * family.size : 2 * family.size + target.size]
    _clear(total)
    for f in range(target.size):
        _clear(inside[f])
        _add(x[f], total)
    for s in range(family.size):
        if member[s] >= 0:
            _add(x[member[s]], inside[family[s]])
    for f in range(target.size):
        _divide(x[f], total, outer[f])
    for s in range(family.size):
        if member[s] >= 0:
            _divide(x[member[s]], inside[family[s]], own[s])
        else:
            own[s] = 1


@_jit
def _clear(out):
    for p in range(out.size):
        out[p] = 0


@_jit
def _add(a, out):
    for p in range(out.size):
        out[p] += a[p]


@_jit
def _multiply(a, b, out):
    for p in range(out.size):
        out[p] = a[p] * b[p]


@_jit
def _divide(a, b, out):
    for p in range(out.size):
        out[p] = a[p] / b[p]


@_jit
def _add_product(a, b, out):
    for p in range(out.size):
        out[p] += a[p] * b[p]


@_jit
def _slope(mask, centre, spread, distance):
    """Turns masks into their distance's derivative, in place; writes the distance."""
    for p in range(mask.size):
        d = mask[p] - centre[p]
        r = np.sqrt(d * d + spread[p])
        distance[p] = r - np.float32(0.5)
        mask[p] = d / r


@_jit
def _weigh(slope, distance, weight, share, loss):
    for p in range(loss.size):
        w = weight[p] * share
        slope[p] *= w
        loss[p] += w * distance[p]


@_jit
def _gradient(own, outer, slope, mean, out):
    """Derivative of a softmax: own·(slope − mean), times the family's share."""
    for p in range(out.size):
        out[p] = own[p] * outer[p] * (slope[p] - mean[p])


@_jit
def _add_scaled(a, scale, out):
    for p in range(out.size):
        out[p] += a[p] * scale


@_jit
def _power_ratio(centre, spread, ratio):
    """Power of a source over that of the mix, from its parabola."""
    for p in range(ratio.size):
        ratio[p] = max(centre[p] * centre[p] + spread[p] - np.float32(SOFTNESS), np.float32(0)) + np.float32(1e-6)


@_jit
def _subtract_log(ratio, own, outer, bulk, loss):
    for p in range(loss.size):
        loss[p] -= bulk[p] * ratio[p] * np.log(own[p] * outer[p] + np.float32(1e-9))


@_jit
def _add_class_gradient(bulk, own, share, ratio, out):
    for p in range(out.size):
        out[p] += bulk[p] * (own[p] * share[p] - ratio[p])
