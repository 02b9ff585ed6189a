"""A page to look at: every stem's waveform and spectrogram, levels, tempo and key, in one file, no request."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from stemwright.audio import naming
from stemwright.extras.colours import colour, rgb
from stemwright.extras.material import Material, times, whole_file
from stemwright.extras.pictures import COLUMNS, ROWS, WAVE_HEIGHT, portrait
from stemwright.outcome import Stem
from stemwright.outputs import label

_TICKS = 5
_FLOOR_DBFS = -60.0


def write_report(song: Material, path: Path) -> None:
    """Writes `path`, an HTML page without scripts and without a single request."""
    with whole_file(path) as file:
        file.write("\n".join(_page(song)).encode("utf-8", "replace"))


def _page(song: Material) -> Iterator[str]:
    name = _shown(song.tags.title or song.title or "A song")
    artist = _shown(song.tags.artist or "")
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield f"<title>{name}: stems</title>\n<style>{_style()}</style>\n</head>\n<body>\n<header>"
    yield f"<h1>{name}</h1>" + (f'<p class="artist">{artist}</p>' if artist else "") + "\n</header>\n<main>"
    yield '<section aria-labelledby="song"><h2 id="song">The song</h2><dl>'
    yield from (f"<div><dt>{term}</dt><dd>{_shown(text)}</dd></div>" for term, text in _facts(song))
    yield "</dl>"
    yield from (f'<p class="note">{_shown(note[:1].upper() + note[1:])}.</p>' for note in song.files.warnings)
    yield "</section>"
    yield from _levels(song)
    yield from _stems(song)
    yield f"</main>\n<footer>Made by Stemwright {version('stemwright')}.</footer>\n</body>\n</html>"


def _facts(song: Material) -> Iterator[tuple[str, str]]:
    made, spent = song.files, song.work.seconds_spent
    whole = sum(spent.values())
    yield "Length", clock(made.seconds, exactly=True)
    yield "Tempo", f"{song.tempo.bpm:.1f} bpm, {song.tempo.confidence:.0%} sure" if song.tempo else "none found"
    yield "Key", f"{song.key}, {song.key.confidence:.0%} sure" if song.key else "none found"
    if told := [song.tags.texts[name] for name in ("bpm", "key") if name in song.tags.texts]:
        yield "In its tags", ", ".join(told)
    yield "Sample rate", f"{made.rate:,} Hz".replace(",", "\u2009")
    yield "Model", made.model
    yield "Device", made.device
    yield "Precision", made.precision
    yield "Gain of all stems", f"{made.gain_db:.2f} dB".replace("-", "−")
    yield "Time", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in spent.items())
    yield "Speed", f"{made.seconds / whole:.1f} × real time" if whole else "unknown"
    yield "Silent stems", ", ".join(label(name) for name in made.silent) or "none"


def _levels(song: Material) -> Iterator[str]:
    yield '<section aria-labelledby="levels"><h2 id="levels">Levels</h2><div class="wide"><table>'
    yield "<caption>Before the common gain, in dB below full scale. Loudness leaves out what is not heard.</caption>"
    heads = ("Stem", "Loudness", "", "Peak", "", "Model")
    yield "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' if head else "<td></td>" for head in heads)
    yield "</tr></thead><tbody>"
    for name, stem in song.files.facts.items():
        filled = max(0.0, min(1.0, 1 - stem.loudness_dbfs / _FLOOR_DBFS))
        bar = f'<span class="bar" style="--part:{filled:.3f};--tint:{colour(name)}"></span>'
        yield f'<tr><th scope="row">{_chip(name)}{escape(label(name))}</th><td class="n">{_db(stem.loudness_dbfs)}</td>'
        yield f'<td>{bar}</td><td class="n">{_db(stem.peak_dbfs)}</td>'
        yield f"<td>{_marks(stem)}</td><td>{escape(stem.model)}</td></tr>"
    yield "</tbody></table></div></section>"


def _stems(song: Material) -> Iterator[str]:
    rate, length = song.files.rate, song.files.length
    tallest = max((song.work.peaks[name] * song.gain for name in song.files.facts), default=1.0)
    about = (
        f"Waveforms share one scale. Spectrograms reach from 40 Hz, below, to {min(16.0, rate / 2000):g} kHz, above."
    )
    yield f'<section aria-labelledby="stems"><h2 id="stems">Stems</h2><p>{about}</p>'
    for name, stem in song.files.facts.items():
        drawn = portrait(times(song.waiting[name].blocks(), song.gain), rate, length)
        title = escape(label(name))
        caption = f"{_chip(name)}<b>{title}</b> {_marks(stem)}"
        yield f'<figure style="--tint:{colour(name)}"><figcaption>{caption}</figcaption>'
        wave = f'<svg viewBox="0 0 {COLUMNS} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img"'
        yield f'{wave} aria-label="Waveform of {title}"><path d="{drawn.wave(tallest)}"/></svg>'
        if not stem.silent:
            source = f'src="{drawn.spectrogram(rgb(name))}" width="{COLUMNS}" height="{ROWS}"'
            yield f'<img {source} alt="Spectrogram of {title}">'
        yield f'<div class="axis" aria-hidden="true">{_axis(song.files.seconds)}</div></figure>'
    yield "</section>"


def _axis(seconds: float) -> str:
    places = (seconds * tick / (_TICKS - 1) for tick in range(_TICKS))
    return "".join(f"<span>{clock(place, exactly=seconds < 20)}</span>" for place in places)


def _shown(text: str) -> str:
    """Text of a song's or a model's for the page: no tag in it is one, and it reads in its letters' own direction.

    >>> _shown("<b>Gnos \u202egnos")
    '&lt;b&gt;Gnos gnos'
    """
    return escape(naming.shown(text))


def _chip(name: str) -> str:
    return f'<span class="chip" style="background:{colour(name)}"></span>'


def _marks(stem: Stem) -> str:
    words = [word for word, holds in (("silent", stem.silent), ("experimental", stem.experimental)) if holds]
    return " ".join(f'<span class="mark">{word}</span>' for word in words)


def _db(level: float) -> str:
    return f"{level:.1f} dB".replace("-", "−")


def clock(seconds: float, *, exactly: bool = False) -> str:
    """Minutes and seconds; with tenths below 20 s, `exactly`.

    >>> clock(83.4), clock(2.25, exactly=True)
    ('1:23', '0:02.2')
    """
    if exactly and seconds < 20:
        return f"0:{seconds:04.1f}"
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _style() -> str:
    return files("stemwright.extras").joinpath("page.css").read_text("utf-8")
