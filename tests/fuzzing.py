"""Mutated real files against the decoder, in a process of their own as in the service: seeded, counted, timed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

from stemwright import errors
from stemwright.audio import container, decode
from stemwright.audio.tags import Tags
from stemwright.server import separating

LONGEST_SECONDS = 30.0  # of sound that a case may give
HANG_SECONDS = 30.0  # of one case; an unmutated one takes milliseconds
MEMORY_BYTES = 512 << 20  # of the decoding process; unmutated files take less than 200 MB, one piece at most 256
ROOT = str(Path(__file__).parents[1])
_TELLING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass
class Tally:
    """What became of the cases, and the worst that one of them cost."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # decoded, refused, crash, hang, wrong
    bad: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    peak_mb: float = 0.0

    def add(self, case: int, outcome: str, detail: str, seconds: float) -> None:
        self.cases += 1
        self.outcomes[outcome] += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if outcome not in ("decoded", "refused"):
            self.bad.append(f"case {case}: {outcome} {detail}")


# ---- the corpus -----------------------------------------------------------------------------------------------------


def make_corpus(folder: Path) -> list[Path]:
    """A short file of every kind that comes in, one with tags and a cover, and the playlists."""
    from tests.audio.sounds import music, write
    from tests.audio.test_bad_input import PLAYLISTS
    from tests.audio.test_formats_in import LOSSLESS, LOSSY, made
    from tests.audio.test_tags import picture

    found = []
    for number, kind in enumerate(LOSSLESS + LOSSY):
        (place := folder / f"{number:02}").mkdir()
        found.append(made(place, kind, music(9000, kind.rate)))
    for ending in ("mp3", "flac", "m4a"):
        tags = Tags({"title": "a title", "artist": "someone"}, picture("png"))
        found.append(write(folder / f"tagged.{ending}", music(9000), tags=tags))
    for name, text in PLAYLISTS.items():
        found.append(folder / f"{name}.txt")
        found[-1].write_text(text.format(target="file:///etc/passwd"))
    return found


def mutated(seeds: list[bytes], case: int) -> bytes:
    """The file of this case: always the same for the same seeds."""
    chance = random.Random(case)
    content = bytearray(seeds[case % len(seeds)])
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        chance.choice(_MUTATIONS)(content, chance, seeds)
    return bytes(content[: 4 << 20])


def _place(content: bytearray, chance: random.Random) -> int:
    """Mostly in the header, where sizes and counts stand; also at the end, where some formats keep their index."""
    size = max(1, len(content))
    spot = chance.random()
    if spot < 0.6:
        return chance.randrange(min(512, size))
    return size - 1 - chance.randrange(min(2048, size)) if spot < 0.8 else chance.randrange(size)


def _flip(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    if content:
        content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _number(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at, size = _place(content, chance), chance.choice((1, 2, 4, 8))
    value = chance.choice(_TELLING) & ((1 << 8 * size) - 1)
    content[at : at + size] = value.to_bytes(size, chance.choice(("big", "little")))


def _noise(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at, size = _place(content, chance), chance.choice((4, 64, 1500))
    content[at : at + size] = chance.randbytes(size)


def _cut(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 7, 300, len(content)))]


def _repeat(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at, size = _place(content, chance), chance.choice((8, 200, 4000))
    content[at:at] = content[at : at + size] * chance.choice((1, 3, 50))


def _splice(content: bytearray, chance: random.Random, seeds: list[bytes]) -> None:
    other = chance.choice(seeds)
    start = chance.randrange(len(other))
    content[_place(content, chance) :] = other[start:]


_MUTATIONS: list[Callable[[bytearray, random.Random, list[bytes]], None]] = [
    *(_flip, _flip, _number, _number, _noise),
    *(_cut, _repeat, _splice),
]


# ---- the process that decodes ---------------------------------------------------------------------------------------


def decode_cases() -> None:
    """The child: a folder of seeds as argument, a case number on each line of its input, an outcome for each."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    container.limit_allocations(separating.LARGEST_PIECE_BYTES)  # as in the service's child
    seeds = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    with tempfile.TemporaryDirectory() as scratch:
        for line in sys.stdin:
            outcome, detail = _decoded(mutated(seeds, int(line)), Path(scratch) / "song", by_path=int(line) % 2 == 0)
            sys.stdout.write(json.dumps([outcome, detail, _peak_mb()]) + "\n")
            sys.stdout.flush()


def _peak_mb() -> float:
    """Of this process since it began: getrusage would tell what the one that began it had, were that more."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _decoded(content: bytes, path: Path, *, by_path: bool) -> tuple[str, str]:
    path.write_bytes(content)
    source = path if by_path else path.open("rb")
    try:
        with decode.open_song(source, rate=44100, limits=decode.Limits(max_seconds=LONGEST_SECONDS)) as song:
            most = LONGEST_SECONDS * 44100 + (1 << 20)
            for _ in song.blocks():
                if song.length > most:
                    return "wrong", f"{song.length} samples came out"
    except errors.AudioError as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001  what this looks for
        return "wrong", f"{type(error).__name__}: {error}"
    finally:
        if not isinstance(source, Path):
            source.close()
    return "decoded", ""


# ---- the process that watches ---------------------------------------------------------------------------------------


def run(cases: Iterable[int], seeds: list[Path], *, after: Callable[[Tally], None] | None = None) -> Tally:
    """Decodes the cases one after another; a crash or a hang is counted, and a new process goes on."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"{number:04}").write_bytes(seed.read_bytes())
        waiting = list(reversed(list(cases)))
        while waiting:
            with _child(folder) as (say, hear):
                while waiting and _one(waiting.pop(), say, hear, tally):
                    if after:
                        after(tally)
    return tally


def _one(case: int, say: Callable[[int], None], hear: Queue[str], tally: Tally) -> bool:
    """One case; whether its process is fit for another."""
    started = time.monotonic()
    say(case)
    try:
        line = hear.get(timeout=HANG_SECONDS)
    except Empty:
        tally.add(case, "hang", "", HANG_SECONDS)
        return False
    if not line:
        tally.add(case, "crash", "", time.monotonic() - started)
        return False
    outcome, detail, peak_mb = json.loads(line)
    tally.peak_mb = max(tally.peak_mb, peak_mb)
    swollen = peak_mb > MEMORY_BYTES >> 20
    tally.add(case, "swollen" if swollen else outcome, detail, time.monotonic() - started)
    return not swollen


@contextmanager
def _child(folder: str) -> Iterator[tuple[Callable[[int], None], Queue[str]]]:
    command = [sys.executable, "-c", "from tests.fuzzing import decode_cases; decode_cases()", folder]
    heard: Queue[str] = Queue()
    environment = os.environ | {"PYTHONPATH": ROOT}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        writer, reader = process.stdin, process.stdout
        listener = threading.Thread(target=lambda: [*map(heard.put, reader), heard.put("")], daemon=True)
        listener.start()

        def say(case: int) -> None:
            try:
                writer.write(f"{case}\n")
                writer.flush()
            except OSError:
                heard.put("")

        try:
            yield say, heard
        finally:
            process.kill()
            process.wait()
            listener.join()
