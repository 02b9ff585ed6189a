"""The people and programs whose speech is re-sung: where each comes from, its licence, and which split it belongs to.

Speech programs of Debian read invented text; recordings of Debian's games and phone prompts are used as they are. Only
permissive licences train; copyleft and share-alike speech is for val and test, which no weight ever learns from.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# What may train weights that anyone may pass on. espeak-ng is a formant synthesizer: what it says is not a copy of it.
PERMISSIVE = ("MIT", "CC0", "CC-BY-3.0", "CC-BY-4.0", "BSD", "CMU", "University of Edinburgh", "public domain")
ESPEAK_LICENCE = "GPL-3.0-or-later (program; formant synthesis, its speech carries no licence)"
CMU_LICENCE = "CMU (BSD-like)"
EDINBURGH_LICENCE = "University of Edinburgh and CMU (BSD-like)"


@dataclass(frozen=True)
class Speaker:
    """One voice: a program that speaks text ({text}, {file} and {wav} stand in command), or recordings (a glob)."""

    name: str
    engine: str
    language: str
    licence: str
    package: str
    split: str
    phrases: int
    command: tuple[str, ...] = ()
    recordings: str = ""
    encoding: str = "iso-8859-1"


def may_train(licence: str) -> bool:
    """Whether weights that heard speech of this licence may be passed on under any terms."""
    return licence == ESPEAK_LICENCE or licence.startswith(PERMISSIVE)


def _flite() -> Iterator[Speaker]:
    for name, split in (("awb", "train"), ("kal16", "train"), ("rms", "train"), ("slt", "train")):
        command = ("flite", "-voice", name, "-f", "{file}", "-o", "{wav}")
        yield Speaker(f"flite-{name}", "flite", "en", CMU_LICENCE, "flite", split, 40, command)


_FESTIVAL = (
    ("cmu_us_slt_arctic_hts", "en", CMU_LICENCE, "festvox-us-slt-hts", "train"),
    ("kal_diphone", "en", EDINBURGH_LICENCE, "festvox-kallpc16k", "train"),
    ("ked_diphone", "en", EDINBURGH_LICENCE, "festvox-kdlpc16k", "train"),
    ("lp_diphone", "it", "GPL-2.0-or-later", "festvox-italp16k", "val"),
    ("pc_diphone", "it", "GPL-2.0-or-later", "festvox-itapc16k", "test"),
    ("czech_dita", "cs", "GPL-3.0-or-later", "festvox-czech-dita", "test"),
    ("czech_krb", "cs", "GPL-3.0-or-later", "festvox-czech-krb", "val"),
    ("czech_machac", "cs", "GPL-3.0-or-later", "festvox-czech-machac", "val"),
    ("czech_ph", "cs", "GPL-2.0-or-later", "festvox-czech-ph", "val"),
    ("hy_fi_mv_diphone", "fi", "LGPL-2.1-or-later", "festvox-suopuhe-mv", "val"),
    ("suo_fi_lj_diphone", "fi", "LGPL-2.1-or-later", "festvox-suopuhe-lj", "val"),
    ("upc_ca_ona_hts", "ca", "LGPL-2.1-or-later", "festvox-ca-ona-hts", "val"),
    ("msu_ru_nsh_clunits", "ru", "BSD-like", "festvox-ru", "train"),
    ("hindi_NSK_diphone", "hi", "GPL-2.0-or-later", "festvox-hi-nsk festival-hi", "val"),
    ("telugu_NSK_diphone", "te", "GPL-2.0-or-later", "festvox-te-nsk festival-te", "val"),
)


def _festival() -> Iterator[Speaker]:
    for voice, language, licence, package, split in _FESTIVAL:
        command = ("text2wave", "-eval", f"(voice_{voice})", "-o", "{wav}", "{file}")
        encoding = "utf-8" if language in {"ru", "hi", "te"} else "iso-8859-1"
        name = f"festival-{voice.lower().replace('_', '-')}"
        yield Speaker(name, "festival", language, licence, package, split, 24, command, encoding=encoding)


_ESPEAK_TRAIN = {
    "en-us": "f2 m3 belinda Gene edward2 grandma max", "en-gb-scotland": "f4 m7 rob", "es": "f3 m1 Diogo pablo",
    "it": "f5 m8 steph2", "fr": "f1 m4 Hugo", "de": "f2 m5 Annie", "pt-br": "f4 m2 Alicia", "fi": "f3 m6 kaukovalta",
    "tr": "f1 m7 anika", "ro": "f5 m3", "id": "f2 Andrea", "sw": "f4 m1", "hu": "f3 m8 aunty",
}  # fmt: skip
_ESPEAK_TEST = {"pl": "f1 m2 linda", "sv": "f5 m4 victor", "en-gb-x-rp": "klatt2 klatt4 klatt6 john"}


def _espeak() -> Iterator[Speaker]:
    for split, table in (("train", _ESPEAK_TRAIN), ("test", _ESPEAK_TEST)):
        for language, variants in table.items():
            for variant in variants.split():
                speed = str(105 + 5 * (len(variant) * 7 % 10))
                command = ("espeak-ng", "-v", f"{language}+{variant}", "-s", speed, "-f", "{file}", "-w", "{wav}")
                name = f"espeak-{language}-{variant.lower()}"
                yield Speaker(name, "espeak-ng", language[:2], ESPEAK_LICENCE, "espeak-ng", split, 8, command)


def _acted() -> Iterator[Speaker]:
    """The voice actors of a game: two fish, in Czech and in Dutch, and some bystanders."""
    for language, split in (("cs", "val"), ("nl", "test")):
        for letter, role in (("m", "she"), ("v", "he")):
            glob = f"/usr/share/games/fillets-ng/sound/*/{language}/*-{letter}-*.ogg"
            name, package = f"acted-{language}-{role}", f"fillets-ng-data-{language}"
            yield Speaker(name, "acted", language, "GPL-2.0-or-later", package, split, 110, recordings=glob)
    for letter in ("hs", "c", "x", "pap"):
        glob = f"/usr/share/games/fillets-ng/sound/*/cs/*-{letter}-*.ogg"
        name, package = f"acted-cs-{letter}", "fillets-ng-data-cs"
        yield Speaker(name, "acted", "cs", "GPL-2.0-or-later", package, "val", 25, recordings=glob)


_PROMPTS = (
    ("en_US_f_Allison", "val"),
    ("es_MX_f_Allison", "val"),
    ("fr_CA_f_June", "val"),
    ("it_IT_m_Carlo", "val"),
    ("ru_RU_f_IvrvoiceRU", "test"),
)
_TOY = "ca da de el en es fi fr ga gl it lt nds nl nn pt ro ru sl sr sv uk wa"
_LETTERS = "ar cs da de en en_GB es fr he hu it lt ml nb nds nl pt_BR ru tn uk"
_HELD_OUT_LANGUAGES = {"da", "el", "he", "ml", "nl", "wa", "hu"}  # of amateurs: nobody is heard in both splits


def _prompts() -> Iterator[Speaker]:
    for folder, split in _PROMPTS:
        glob = f"/usr/share/asterisk/sounds/{folder}/*.g722"
        name = "prompts-" + folder.lower().replace("_", "-")
        package = f"asterisk-core-sounds-{folder[:2]}-g722"
        yield Speaker(name, "prompts", folder[:2], "CC-BY-SA-3.0", package, split, 45, recordings=glob)


def _amateurs() -> Iterator[Speaker]:
    for engine, languages, glob in (
        ("toy", _TOY, "/usr/share/ktuberling/sounds/{}/*.*"),
        ("letters", _LETTERS, "/usr/share/klettres/{}/*/*.*"),
    ):
        package = {"toy": "ktuberling-data", "letters": "klettres-data"}[engine]
        for language in languages.split():
            split = "test" if language in _HELD_OUT_LANGUAGES else "val"
            name, recordings = f"{engine}-{language.lower().replace('_', '-')}", glob.format(language)
            yield Speaker(name, engine, language[:2], "GPL-2.0-or-later", package, split, 45, recordings=recordings)


def every_speaker() -> list[Speaker]:
    """All voices the recipe knows, in a fixed order: people first, programs after them."""
    groups = (_acted(), _amateurs(), _prompts(), _flite(), _espeak(), _festival())
    speakers = [speaker for group in groups for speaker in group]
    assert len({speaker.name for speaker in speakers}) == len(speakers)
    return speakers


_WORDS = """
love heart night light fire dream time home world baby rain sun moon sky river city alone together forever
never always crazy falling running dancing waiting shining burning broken golden lonely silver water window
shadow summer winter morning midnight feeling breathing holding know want need take give come stay leave fly
high down away back over tonight today tomorrow eyes hands soul mind body music song voice street ocean
mountain star flower wind silence thunder memory story secret promise reason hurricane diamond paradise i you
we they the a my your our in on with and but so oh when if like from this that it is are will can all yeah hey
tell me show again sometimes beautiful scream whisper faith shake chance strange this is the edge of just one
more face six seven chasing stars through stone
"""
# Onsets, vowels and endings of invented words, spelled so that a reader of the language speaks them.
_SOUNDS = {
    "it": ("m b l c d f g n p r s t v st tr pr gl sp", "a e i o u ia io", "- - - n r"),
    "es": ("m b l c d f g n p r s t ll ch tr pr", "a e i o u ie ue", "- - - n s r l"),
    "pt": ("m b l c d f g n p r s t v ch tr pr", "a e i o u ei ou ão", "- - - s r m"),
    "ro": ("m b l c d f g n p r s t v tr pr", "a e i o u ea oa", "- - n t r l"),
    "fr": ("m b l c d f g n p r s t v ch j tr pl", "a e i o u ou eau on an é", "- - - r l"),
    "ca": ("m b l c d f g n p r s t x tr", "a e i o u", "- - n s t l"),
    "de": ("m b l k d f g n p r s t w sch z st tr schl", "a e i o u ei au ie ü", "- n r st cht l ng"),
    "sv": ("m b l k d f g n p r s t v sk st tr", "a e i o u å ä ö", "- n r t l k"),
    "pl": ("m b l k d w g n p r s t z sz cz prz st", "a e i o u y", "- - n j t k sz"),
    "cs": ("m b l k d v h n p r s t z st tr pr", "a e i o u y", "- - n j t k s l"),
    "fi": ("m k l t h n p r s v j", "a e i o u ää yö ai uo aa ii", "- - n s t"),
    "hu": ("m b l k d f g n p r s t v sz cs gy", "a e i o u ö ü á é", "- - n k t r l"),
    "tr": ("m b l k d f g n p r s t v y", "a e i o u", "- - n r k l m"),
    "sw": ("m b l k d f w n p j s t mb nd ng ch", "a e i o u", "-"),
    "id": ("m b l k d g n p r s t j", "a e i o u", "- - n ng k r t"),
    "ru": ("м б л к д ф г н п р с т в ст тр ш ч", "а е и о у ы я ю", "- - н т л к й"),
    "hi": ("म ब ल क द ग न प र स त व ह ज", "ा े ि ो ु ी ू", "-"),
    "te": ("మ బ ల క ద గ న ప ర స త వ హ జ", "ా ే ి ో ు ీ ూ", "-"),
}


class Speech:
    """An endless lyric in one language; the same seed gives the same words."""

    def __init__(self, language: str, seed: int) -> None:
        self._language = language if language in _SOUNDS else "en"
        self._state = seed * 2654435761 % 2**31 + 1

    def _pick(self, options: Sequence[str]) -> str:
        self._state = (1103515245 * self._state + 12345) % 2**31
        return options[(self._state >> 8) % len(options)]

    def _word(self) -> str:
        if self._language == "en":
            return self._pick(_WORDS.split())
        onsets, vowels, ends = (part.split() for part in _SOUNDS[self._language])
        count = self._pick(["1", "2", "2", "3"])
        sounds = "".join(self._pick(onsets) + self._pick(vowels) for _ in range(int(count)))
        return re.sub("-", "", sounds + self._pick(ends))

    def phrase(self) -> str:
        """Three to eight words."""
        return " ".join(self._word() for _ in range(int(self._pick(list("345678")))))
