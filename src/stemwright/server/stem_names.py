"""Names of stems: the labels of files, and the nearest of our stems for each of the wire's 98 instrument names."""

from __future__ import annotations

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


def label(name: str) -> str:
    """What stands in the file's name: a stem's label, or the wire name made fit for a URL."""
    return LABELS.get(name) or name.replace(" ", "_")
