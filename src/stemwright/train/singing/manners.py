"""Ways to sing: every kind of lead and backing voice as a draw of its habits."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stemwright.train.singing.contour import Motion
from stemwright.train.singing.singer import Manner
from stemwright.train.singing.tract import VOWELS, Body
from stemwright.train.singing.vocoder import Throat

Rng = np.random.Generator


def _motion(rng: Rng) -> Motion:
    u = rng.uniform
    return Motion(
        glide_seconds=float(np.exp(u(np.log(0.03), np.log(0.24)))),
        overshoot=u(0, 0.9),
        scoop=u(0.3, 3.0),
        scoop_chance=u(0, 0.7),
        fall=u(0.5, 5),
        fall_chance=u(0, 0.35),
        vibrato_cents=float(abs(rng.normal(0, 35))),
        vibrato_hz=u(4.5, 6.8),
        vibrato_after_seconds=u(0.05, 0.5),
        drift_cents=u(5, 40),
        flutter_cents=u(1, 9),
        detune_cents=u(2, 16),
        tremolo=u(0, 0.25),
        release_seconds=float(np.exp(u(np.log(0.03), np.log(0.25)))),
        attack_seconds=u(0.01, 0.08),
    )


def _body(rng: Rng) -> Body:
    u = rng.uniform
    vowels = (
        tuple(str(v) for v in rng.choice(list(VOWELS), int(rng.integers(3, 9)), replace=False))
        if rng.random() < 0.5
        else ()
    )
    return Body(
        effort=u(0.35, 1.1), breath=float(10 ** u(-1.6, -0.4)), ring_db=u(0, 12), ring_hz=u(2500, 3500),
        hiss_scale=u(0.85, 1.3), hiss_gain=u(0.08, 0.4), width=u(0.8, 1.5), vowels=vowels,
    )  # fmt: skip


def _plain(rng: Rng) -> Manner:
    u = rng.uniform
    return Manner(
        motion=_motion(rng), body=_body(rng),
        throat=Throat(jitter=float(10 ** u(-3.4, -2.4)), shimmer=u(0.005, 0.05), pulsed=u(0.2, 0.9)),
        scale=float(np.clip(rng.normal(1, 0.09), 0.78, 1.28)),
        tilt_db=rng.normal(0, 1.2), effort_db=u(0.5, 3), breath=float(np.exp(u(-1.5, 0.2))),
        air_db=u(-30, -8), hiss_db=u(-6, 2),
        hiss_gain_db=u(-3, 9), hiss_hz=u(6500, 11000), onset_seconds=u(0.07, 0.2), coda=u(0.15, 0.45),
        gap_breath_db=u(-42, -22), timing_seconds=u(0, 0.022),
    )  # fmt: skip


def _belt(rng: Rng, m: Manner) -> Manner:
    motion = replace(m.motion, vibrato_cents=rng.uniform(20, 90), scoop_chance=0.5)
    throat = replace(m.throat, growl=rng.uniform(0, 0.25), growl_hz=rng.uniform(50, 90))
    body = replace(m.body, effort=rng.uniform(0.9, 1.25), breath=0.02, ring_db=rng.uniform(6, 14))
    return replace(
        m, motion=motion, throat=throat, body=body, tilt_db=m.tilt_db + rng.uniform(1, 3.5), breath=m.breath * 0.6
    )


def _breathy(rng: Rng, m: Manner) -> Manner:
    body = replace(m.body, effort=rng.uniform(0.05, 0.45), breath=rng.uniform(0.25, 0.8))
    throat = replace(m.throat, jitter=rng.uniform(0.005, 0.015), pulsed=rng.uniform(0.1, 0.5))
    changed = replace(m, body=body, throat=throat, breath=rng.uniform(1.6, 3.5), whisper=rng.uniform(0, 0.25))
    return replace(changed, gap_breath_db=rng.uniform(-30, -16), hiss_gain_db=rng.uniform(-1, 6))


def _falsetto(rng: Rng, m: Manner) -> Manner:
    body = replace(m.body, effort=rng.uniform(0.05, 0.4), breath=rng.uniform(0.1, 0.5), ring_db=0)
    motion = replace(m.motion, vibrato_cents=rng.uniform(0, 60), glide_seconds=rng.uniform(0.05, 0.16))
    return replace(m, body=body, motion=motion, tilt_db=m.tilt_db - rng.uniform(1, 4), breath=m.breath * 1.3)


def _whisper(rng: Rng, m: Manner) -> Manner:
    return replace(
        m, whisper=rng.uniform(0.75, 1.0), hiss_gain_db=rng.uniform(-6, 0), tilt_db=m.tilt_db + rng.uniform(1, 4)
    )


def _rap(rng: Rng, m: Manner) -> Manner:
    motion = replace(
        m.motion, spoken=rng.uniform(0.75, 1), vibrato_cents=0, glide_seconds=rng.uniform(0.04, 0.09), detune_cents=40
    )
    return replace(m, motion=motion, onset_seconds=0.1, coda=0.5, hiss_gain_db=rng.uniform(-2, 6))


def _shout(rng: Rng, m: Manner) -> Manner:
    rough = replace(
        m.throat, jitter=rng.uniform(0.01, 0.035), shimmer=rng.uniform(0.1, 0.3), subharmonic=rng.uniform(0, 0.5)
    )
    rough = replace(rough, growl=rng.uniform(0.1, 0.6), growl_hz=rng.uniform(45, 110))
    body = replace(m.body, effort=rng.uniform(1, 1.35), breath=rng.uniform(0.05, 0.3))
    motion = replace(m.motion, spoken=rng.uniform(0, 0.4), scoop_chance=0.8, fall_chance=0.6)
    return replace(
        m, throat=rough, body=body, motion=motion, tilt_db=m.tilt_db + rng.uniform(2, 5), breath=rng.uniform(1, 2)
    )


def _growl(rng: Rng, m: Manner) -> Manner:
    rough = replace(
        m.throat, jitter=rng.uniform(0.02, 0.08), shimmer=rng.uniform(0.2, 0.5), subharmonic=rng.uniform(0.2, 0.9)
    )
    rough = replace(rough, growl=rng.uniform(0.5, 1), growl_hz=rng.uniform(25, 80))
    motion = replace(m.motion, spoken=rng.uniform(0.3, 1), vibrato_cents=0)
    return replace(
        m,
        throat=rough,
        motion=motion,
        breath=rng.uniform(1.5, 3),
        tilt_db=m.tilt_db + rng.uniform(0, 3),
        scale=m.scale * rng.uniform(0.82, 1),
    )


def _raspy(rng: Rng, m: Manner) -> Manner:
    rough = replace(
        m.throat, jitter=rng.uniform(0.006, 0.025), shimmer=rng.uniform(0.08, 0.25), subharmonic=rng.uniform(0.05, 0.4)
    )
    rough = replace(rough, growl=rng.uniform(0, 0.5), growl_hz=rng.uniform(40, 100))
    return replace(m, throat=rough, breath=rng.uniform(1, 2.2), tilt_db=m.tilt_db + rng.uniform(0, 2))


def _tuned(rng: Rng, m: Manner) -> Manner:
    motion = replace(m.motion, tuned=rng.uniform(0.8, 1), tuning_seconds=float(10 ** rng.uniform(-3.3, -1.5)))
    motion = replace(motion, vibrato_cents=rng.uniform(0, 20), glide_seconds=rng.uniform(0.02, 0.06))
    return replace(m, motion=motion, throat=replace(m.throat, jitter=0.0015, shimmer=0.01))


def _robot(rng: Rng, m: Manner) -> Manner:
    motion = replace(
        m.motion,
        vibrato_cents=0,
        drift_cents=0,
        flutter_cents=0,
        glide_seconds=0.005,
        scoop_chance=0,
        fall_chance=0,
        tuned=1,
    )
    return replace(
        m, motion=motion, throat=Throat(0, 0), breath=0.4, tilt_db=m.tilt_db + rng.uniform(0, 3), timing_seconds=0
    )


def _classical(rng: Rng, m: Manner) -> Manner:
    motion = replace(
        m.motion,
        vibrato_cents=rng.uniform(50, 130),
        vibrato_after_seconds=rng.uniform(0, 0.15),
        vibrato_hz=rng.uniform(5, 6.5),
    )
    body = replace(m.body, ring_db=rng.uniform(10, 18), effort=rng.uniform(0.5, 0.9), breath=0.02)
    return replace(m, motion=motion, body=body, breath=m.breath * 0.5, scale=m.scale * rng.uniform(0.88, 1.0))


def _child(rng: Rng, m: Manner) -> Manner:
    return replace(m, scale=m.scale * rng.uniform(1.12, 1.3), breath=m.breath * 1.2)


def _chops(rng: Rng, m: Manner) -> Manner:
    motion = replace(m.motion, tuned=1, vibrato_cents=0, scoop_chance=0.1, glide_seconds=rng.uniform(0.004, 0.03))
    return replace(
        m,
        motion=motion,
        scale=m.scale * rng.uniform(0.85, 1.4),
        coda=0.1,
        onset_seconds=rng.uniform(0, 0.06),
        timing_seconds=0,
    )


def _pop(_rng: Rng, m: Manner) -> Manner:
    return m


_KINDS: dict[str, tuple[float, Callable[[Rng, Manner], Manner]]] = {
    "pop": (4.0, _pop),
    "belt": (2.5, _belt),
    "raspy": (1.8, _raspy),
    "breathy": (1.6, _breathy),
    "tuned": (1.4, _tuned),
    "rap": (1.3, _rap),
    "falsetto": (1.0, _falsetto),
    "shout": (0.8, _shout),
    "child": (0.6, _child),
    "classical": (0.6, _classical),
    "chops": (0.6, _chops),
    "growl": (0.5, _growl),
    "robot": (0.4, _robot),
    "whisper": (0.3, _whisper),
}

KINDS = tuple(_KINDS)


def draw_manner(rng: Rng, kind: str | None = None) -> Manner:
    """A singer's manner; the kind is drawn by how often it is heard in popular music unless it is given."""
    if kind is None:
        weights = np.array([weight for weight, _ in _KINDS.values()])
        kind = KINDS[rng.choice(len(KINDS), p=weights / weights.sum())]
    return replace(_KINDS[kind][1](rng, _plain(rng)), kind=kind)


def choir_manner(rng: Rng, *, wordless: bool) -> Manner:
    """A voice that blends: little ornament, soft consonants; a wordless one holds an ooh or an aah."""
    m = _plain(rng)
    motion = replace(
        m.motion, scoop_chance=0.1, fall_chance=0.0, detune_cents=rng.uniform(3, 12), vibrato_cents=rng.uniform(0, 40)
    )
    vowels = (str(rng.choice(["u", "a", "o", "O", "A"])),) if wordless else m.body.vowels
    body = replace(m.body, effort=rng.uniform(0.1, 0.8), consonants=not wordless, vowels=vowels)
    return replace(
        m,
        kind="choir",
        motion=motion,
        body=body,
        hiss_gain_db=rng.uniform(-12, 0),
        timing_seconds=rng.uniform(0.005, 0.03),
    )
