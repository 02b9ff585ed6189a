"""Names of stems: the labels of files, and which stem of a model stands for each of the wire's 98 instrument names."""

from __future__ import annotations

import re
from collections.abc import Sequence

LABELS = {
    "vocals": "Vocals",
    "backing_vocals": "Backing_Vocals",
    "drums": "Drums",
    "bass": "Bass",
    "guitar": "Guitar",
    "keyboard": "Keyboard",
    "strings": "Strings",
    "brass": "Brass",
    "woodwinds": "Woodwinds",
    "percussion": "Percussion",
    "synth": "Synth",
    "fx": "FX",
    "instrumental": "Instrumental",
}

_NAMES = {
    "vocals": "Lead Vocal|Synth Voice",
    "backing_vocals": "Backing Vocals|Choir",
    "drums": "Drum Kit|Kick|Snare|Electronic Drum Kit|Cymbals|Hi-Hat",
    "bass": "Bass|Synth Bass|Upright Bass|Electric Bass|Double Bass|Bass Guitar|808",
    "guitar": "Electric Guitar|Acoustic Guitar|Guitar|Lead Electric Guitar|Rhythm Electric Guitar|"
    "Distorted Electric Guitar|Rhythm Acoustic Guitar|Pedal Steel Guitar|Mandolin|Banjo|Lap Steel Guitar|Ukulele|"
    "Lead Guitar|Sitar|Koto",
    "keyboard": "Piano|Organ|Electric Piano|Keyboards|Accordion|Digital Piano|Celesta|Harpsichord|Rhodes|Music Box|"
    "Melodica",
    "strings": "String Section|Synth Strings|Harp|Fiddle|Violin|Cello|Orchestra|Viola",
    "brass": "Brass Section|Trumpet|Synth Brass|Trombone|French Horn|Horns|Tuba",
    "woodwinds": "Woodwinds|Flute|Clarinet|Tenor Saxophone|Harmonica|Saxophone|Oboe|Alto Saxophone|"
    "Baritone Saxophone|Whistle|Bassoon|Piccolo|Bagpipes|Didgeridoo",
    "percussion": "Percussion|Tambourine|Bells|Shaker|Glockenspiel|Timpani|Marimba|Vibraphone|Hand Clap|Congas|"
    "Xylophone|Bongos|Cowbell|Steel Drums|Tabla|Djembe|Taiko",
    "synth": "Synth|Synth Pad|Synth Keys|Synth Lead|Arpeggiator|Drone|Theremin",
    "fx": "Risers|Sound Effects",
}

# wire name → one of our twelve stems
NEAREST = {name: stem for stem, names in _NAMES.items() for name in names.split("|")}

MEGA = "mega53"
"""The public model whose heads are closest to the wire's names."""
_HEADS = {
    "lead-vocal": "Lead Vocal|Synth Voice",
    "back-vocal": "Backing Vocals|Choir",
    "drums": "Drum Kit|Electronic Drum Kit|Cymbals",
    "kick": "Kick",
    "snare": "Snare",
    "hh": "Hi-Hat",
    "bass": "Bass|Synth Bass|Electric Bass|Bass Guitar|808",
    "double-bass": "Upright Bass|Double Bass",
    "guitar": "Guitar|Lead Guitar",
    "electric-guitar": "Electric Guitar|Lead Electric Guitar|Rhythm Electric Guitar|Distorted Electric Guitar",
    "acoustic-guitar": "Acoustic Guitar|Rhythm Acoustic Guitar",
    "dobro": "Pedal Steel Guitar|Lap Steel Guitar",
    "mandolin": "Mandolin",
    "banjo": "Banjo",
    "ukulele": "Ukulele",
    "sitar": "Sitar|Koto",
    "piano": "Piano",
    "digital-piano": "Digital Piano|Electric Piano|Rhodes",
    "keys": "Keyboards|Celesta",
    "organ": "Organ",
    "accordion": "Accordion|Melodica",
    "harpsichord": "Harpsichord",
    "strings": "String Section|Synth Strings|Orchestra",
    "harp": "Harp",
    "violin": "Fiddle|Violin",
    "viola": "Viola",
    "cello": "Cello",
    "brass": "Brass Section|Synth Brass|Horns",
    "trumpet": "Trumpet",
    "trombone": "Trombone",
    "french-horn": "French Horn",
    "tuba": "Tuba",
    "woodwind": "Woodwinds|Piccolo|Whistle",
    "wind": "Bagpipes|Didgeridoo",
    "flute": "Flute",
    "clarinet": "Clarinet",
    "oboe": "Oboe",
    "bassoon": "Bassoon",
    "harmonica": "Harmonica",
    "saxophone": "Saxophone|Tenor Saxophone|Alto Saxophone|Baritone Saxophone",
    "percussion": "Percussion|Shaker|Hand Clap|Cowbell|Steel Drums|Tabla|Djembe|Taiko",
    "tambourine": "Tambourine",
    "bells": "Bells|Music Box",
    "glockenspiel": "Glockenspiel",
    "timpani": "Timpani",
    "marimba": "Marimba|Vibraphone|Xylophone",
    "congas": "Congas|Bongos",
    "synth": "Synth|Synth Pad|Synth Keys|Synth Lead|Arpeggiator|Drone|Theremin",
}

# wire name → a head of the Mega model; risers and sound effects have none
HEADS = {name: head for head, names in _HEADS.items() for name in names.split("|")}

# what a model has instead that gives fewer stems than ours
_INSTEAD = {"backing_vocals": "vocals", "percussion": "drums", "keyboard": "piano"}
_REST = ("other", "instrumental")


def nearest(name: str, offered: Sequence[str]) -> str | None:
    """Which of the stems offered comes closest to a wire name; None when none of them is it, in part or at all.

    >>> nearest("Kick", ("kick", "snare", "no_drums")), nearest("Tuba", ("vocals", "drums", "bass", "other"))
    ('kick', 'other')
    """
    ours = NEAREST[name]
    spoken = name.lower().replace(" ", "_").replace("-", "_")
    for stem in (
        HEADS.get(name, ours),
        spoken,
        ours,
        _INSTEAD.get(ours, ours),
        *(_REST if "vocals" not in ours else ()),
    ):
        if stem in offered:
            return stem
    return None


def label(name: str) -> str:
    """What stands in the file's name: a stem's label, or the name made fit for a URL."""
    return LABELS.get(name) or re.sub(r"[^A-Za-z0-9.-]+", "_", name.title() if name.islower() else name)
