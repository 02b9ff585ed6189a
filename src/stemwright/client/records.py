"""What a server tells, as typed values: songs, separations and their stems. Here alone are the wire's names known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

PENDING, SUCCESS = "PENDING", "SUCCESS"
_INFOS = ("vocal_separation_info", "vocal_removal_info", "vocalSeparationInfo", "vocalRemovalInfo")


@dataclass(frozen=True)
class Track:
    """A song that the server has: by its ids where it gave some, else by its address."""

    url: str
    task_id: str | None = None
    audio_id: str | None = None
    name: str = ""
    size_bytes: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Track:
        """From the answer to an upload."""
        url = data.get("downloadUrl") or data.get("fileUrl") or ""
        return cls(str(url), data.get("taskId"), data.get("audioId"), data.get("fileName") or "", data.get("fileSize"))


@dataclass(frozen=True)
class RemoteStem:
    """A stem on the server: `name` is ours (`backing_vocals`), `duration_seconds` and `id` where the server tells."""

    name: str
    url: str
    duration_seconds: float | None = None
    id: str | None = None

    @property
    def format(self) -> str:
        """The extension of its file, such as `mp3`."""
        found = re.search(r"\.([a-z0-9]{1,5})$", unquote(urlsplit(self.url).path).lower())
        return found.group(1) if found else "mp3"


@dataclass(frozen=True)
class Record:
    """A separation as its server tells it: `flag` is PENDING, SUCCESS or how it failed; `raw` is all that came.

    `progress` (0 to 100) and `stage` are None where a server does not tell.
    """

    task_id: str
    flag: str
    stems: tuple[RemoteStem, ...] = ()
    progress: int | None = None
    stage: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    @property
    def pending(self) -> bool:
        """Whether it goes on."""
        return self.flag == PENDING

    @property
    def succeeded(self) -> bool:
        """Whether the stems are there. A callback that could not be delivered takes nothing from them."""
        return self.flag == SUCCESS or (self.flag == "CALLBACK_EXCEPTION" and bool(self.stems))

    @property
    def silent(self) -> frozenset[str]:
        """Names of the stems in which there is nothing to hear, where the server tells."""
        return frozenset(self.raw.get("silentStems") or ())

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Record:
        """From `data` of record-info."""
        return cls(
            task_id=str(data.get("taskId") or ""),
            flag=str(data.get("successFlag") or data.get("status") or PENDING).upper(),
            stems=tuple(_stems(data.get("response") or {})),
            progress=data.get("progress"),
            stage=data.get("stage"),
            error_code=data.get("errorCode"),
            error_message=data.get("errorMessage"),
            raw=data,
        )

    @classmethod
    def of_callback(cls, told: Mapping[str, Any]) -> Record:
        """From the body of a callback."""
        data, code = told["data"], told.get("code")
        stems = tuple(_stems(data))
        failed = None if code == 200 else str(told.get("msg") or "")
        return cls(
            task_id=str(data.get("task_id") or data["taskId"]),
            flag="GENERATE_AUDIO_FAILED" if failed is not None else SUCCESS,
            stems=stems,
            error_code=None if failed is None else code,
            error_message=failed,
            raw=told,
        )


def stem_name(label: str) -> str:
    """Our name for what the wire calls a stem; nothing is left in it that a file name must not have.

    >>> [stem_name(label) for label in ("Backing Vocals", "vocalUrl", "../Drum Kit", "FX")]
    ['backing_vocals', 'vocals', 'drum_kit', 'fx']
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"_?[uU]rl$", "", label))
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:60]
    return {"vocal": "vocals", "": "stem"}.get(plain, plain)


def _stems(told: Mapping[str, Any]) -> Iterator[RemoteStem]:
    """Every stem once: from the list that describes them, else from the addresses by name."""
    info = next((told[key] for key in _INFOS if told.get(key)), told)
    listed = list(_listed(info.get("originData") or info.get("origin_data") or ()))
    if listed:
        yield from listed
        return
    for key, url in info.items():
        if (
            re.search(r"(_u|U)rl$", key)
            and isinstance(url, str)
            and url
            and stem_name(key) not in ("origin", "callback")
        ):
            yield RemoteStem(stem_name(key), url)


def _listed(entries: Any) -> Iterator[RemoteStem]:
    for entry in entries:
        for role, prefix in (("extract", ""), ("remove", "without_")):
            if entry.get(role):
                yield _described(entry[role], prefix)
        if entry.get("audio_url"):
            yield _described(entry, "")


def _described(entry: Mapping[str, Any], prefix: str) -> RemoteStem:
    name = prefix + stem_name(str(entry.get("stem_type_group_name") or ""))
    return RemoteStem(name, str(entry["audio_url"]), entry.get("duration"), entry.get("id"))
