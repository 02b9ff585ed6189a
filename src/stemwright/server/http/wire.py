"""The only camelCase: what clients send becomes frozen typed values here, and rows become what they read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stemwright.errors import BadJson, BadUrl, InvalidRequest
from stemwright.server import callbacks, network
from stemwright.server.stem_names import NEAREST
from stemwright.server.tasks import Delivery, Stem, Task
from stemwright.server.tracks import Track

_URL_KEYS = (
    *("instrumental", "vocal", "backing_vocals", "drums", "bass", "guitar", "piano", "keyboard"),
    *("percussion", "strings", "synth", "fx", "brass", "woodwinds"),
)
_MOST_VALUES = 10_000  # each can take thirty times the memory of its text, and no body of ours has twenty
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
Model = TypeVar("Model", bound="Incoming")


def camel(name: str) -> str:
    """`backing_vocals_url` → `backingVocalsUrl`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


NO_URLS: Mapping[str, None] = {camel(f"{key}_url"): None for key in _URL_KEYS}


# ---- what clients send -----------------------------------------------------------------------------------------------


class Incoming(BaseModel):
    """A request body: types are exact, unknown fields are ignored, an empty text or null counts as not given, and the
    white space that a line of a file or a copied cell leaves around a text is none of it."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _absent(cls, value: object) -> object:
        return (value.strip() or None) if isinstance(value, str) else value


class Generate(Incoming):
    """The body of `POST /api/v1/vocal-removal/generate`."""

    task_id: str | None = Field(None, alias="taskId", max_length=100)
    audio_id: str | None = Field(None, alias="audioId", max_length=100)
    audio_url: str | None = Field(None, alias="audioUrl", max_length=8000)
    type: Literal["separate_vocal", "split_stem", "split_stem_advanced"] | None = None
    stem_name: str | None = Field(None, alias="stemName")
    callback_url: str | None = Field(None, alias="callBackUrl", max_length=8000)
    format: str | None = Field(None, max_length=20)
    priority: int | None = Field(None, ge=-10, le=10)
    model: str | None = Field(None, max_length=100)

    @property
    def kind(self) -> str:
        """The kind of task asked for."""
        return self.type or "separate_vocal"

    def check(self) -> None:
        """Raises InvalidRequest where fields that are fine by themselves do not go together."""
        if self.task_id is None and self.audio_id is None and self.audio_url is None:
            raise InvalidRequest(field="taskId", problem="give taskId and audioId, or audioUrl")
        if (self.task_id is None or self.audio_id is None) and self.audio_url is None:
            missing = "taskId" if self.task_id is None else "audioId"
            raise InvalidRequest(field=missing, problem="Field required")
        if self.kind == "split_stem_advanced" and self.stem_name not in NEAREST:
            raise InvalidRequest(field="stemName", problem="must be one of: " + ", ".join(NEAREST))
        for name, url in (("audioUrl", self.audio_url), ("callBackUrl", self.callback_url)):
            _check_url(name, url)


class Base64Upload(Incoming):
    """The body of `POST /api/file-base64-upload`."""

    data: str = Field(alias="base64Data")
    upload_path: str | None = Field(None, alias="uploadPath", max_length=500)
    file_name: str | None = Field(None, alias="fileName", max_length=300)


class UrlUpload(Incoming):
    """The body of `POST /api/file-url-upload`."""

    url: str = Field(alias="fileUrl", max_length=8000)
    upload_path: str | None = Field(None, alias="uploadPath", max_length=500)
    file_name: str | None = Field(None, alias="fileName", max_length=300)


class DownloadUrl(Incoming):
    """The body of `POST /api/v1/common/download-url`."""

    url: str = Field(max_length=8000)


@dataclass(frozen=True)
class Json:
    """A JSON object as it came, and what identifies it whatever its spacing."""

    fields: dict[str, Any]

    def to(self, model: type[Model], **aliases: str) -> Model:
        """This body as `model`; `aliases` are other names that some clients use. Raises InvalidRequest."""
        fields = self.fields | {
            ours: self.fields[theirs]
            for ours, theirs in aliases.items()
            if theirs in self.fields and ours not in self.fields
        }
        try:
            return model.model_validate(fields)
        except ValidationError as fault:
            first = fault.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            problem = "Field required" if first["input"] is None else first["msg"]
            raise InvalidRequest(field=where, problem=problem) from None

    def fingerprint(self, path: str) -> str:
        """Equal for requests that ask for the same."""
        text = json.dumps([path, self.fields], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def parse(body: bytes) -> Json:
    """The JSON object in `body`; raises BadJson, and InvalidRequest when it is not an object or holds too much."""
    if body.count(b",") >= _MOST_VALUES:
        raise InvalidRequest(field="body", problem="holds too many values")
    try:
        value = json.loads(body.decode("utf-8-sig"))  # not UTF-16, in which what is looked for below looks otherwise
    except (ValueError, RecursionError):
        raise BadJson from None
    if not isinstance(value, dict):
        raise InvalidRequest(field="body", problem="must be a JSON object")
    if _ESCAPED_NUL.search(body):  # JSON may hold it, PostgreSQL's text may not
        raise InvalidRequest(field="body", problem="must not hold the character U+0000")
    return Json(value)


def _check_url(field: str, url: str | None) -> None:
    if url is None:
        return
    try:
        network.check_url(url)
    except BadUrl as fault:
        raise InvalidRequest(field=field, problem=str(fault)) from None


# ---- what clients read -----------------------------------------------------------------------------------------------


def record(task: Task, stems: Sequence[Stem], delivery: Delivery | None, *, base_url: str) -> dict[str, Any]:
    """A separation task, as `vocal-removal/record-info` tells it."""
    failed = task.flag not in ("PENDING", "SUCCESS")
    return {
        "taskId": task.id,
        "musicId": task.audio_id,
        "audioId": task.audio_id,
        "callbackUrl": task.callback_url,
        "musicIndex": task.music_index,
        "type": task.kind,
        "stemName": task.stem_name,
        "createTime": task.created,
        "completeTime": task.completed,
        "successFlag": task.flag,
        "status": task.flag,
        "errorCode": callbacks.failure_code(task) if failed else None,
        "errorMessage": task.error if failed else None,
        "response": _response(task, stems, base_url),
        "progress": round(task.progress),
        "stage": task.state,
        "silentStems": [stem.name for stem in stems if stem.silent],
        "experimental": [stem.name for stem in stems if stem.experimental],
        "warnings": task.warnings or [],
        "callback": _callback(task, delivery),
        "expireTime": task.expires,
        "model": task.model,
        "device": task.device,
        "precision": task.precision,
        "playerUrl": callbacks.file_url(base_url, task.peaks) if task.peaks and not task.gone else None,
    }


def _response(task: Task, stems: Sequence[Stem], base_url: str) -> dict[str, Any]:
    empty = {"id": None, "originUrl": None, "originData": None, **NO_URLS}
    if not stems:
        return empty
    urls = {camel(key): url for key, url in callbacks.stem_urls(task, stems, base_url).items()}
    return empty | urls | {"originData": callbacks.origin_data(task, stems, base_url)}


def _callback(task: Task, delivery: Delivery | None) -> dict[str, Any]:
    if delivery is None:
        state = "waiting" if task.callback_url else "none"
        return {"state": state, "attempts": 0, "lastStatus": None, "lastError": None}
    told = {"lastStatus": delivery.last_status, "lastError": delivery.last_error}
    return {"state": delivery.state, "attempts": delivery.attempts, **told}


def registered(variations: Sequence[Track], *, base_url: str) -> dict[str, Any]:
    """A registered song and its variations, as `generate/record-info` tells a generated one."""
    first = variations[0]
    return {
        "taskId": first.task_id,
        "parentMusicId": "",
        "param": json.dumps(dict(first.details), separators=(",", ":")),
        "response": {"taskId": first.task_id, "sunoData": [_variation(track, base_url) for track in variations]},
        "status": "SUCCESS",
        "successFlag": "SUCCESS",
        "type": "UPLOAD",
        "operationType": "upload",
        "createTime": first.created,
        "errorCode": None,
        "errorMessage": None,
    }


def _variation(track: Track, base_url: str) -> dict[str, Any]:
    url = callbacks.file_url(base_url, track.blob) if track.gone is None else None
    return {
        "id": track.audio_id,
        "audioUrl": url,
        "streamAudioUrl": url,
        "imageUrl": None,
        "prompt": "",
        "modelName": "",
        "title": track.title,
        "tags": "",
        "createTime": track.created,
        "duration": track.duration_seconds,
    }


def uploaded(track: Track, *, path: str, base_url: str) -> dict[str, Any]:
    """A stored upload: upstream's fields, what some clients look for instead, and the ids to separate it by."""
    url = callbacks.file_url(base_url, track.blob)
    return {
        "success": True,
        "fileName": track.file_name,
        "filePath": f"{path}/{track.file_name}" if path else track.file_name,
        "downloadUrl": url,
        "fileUrl": url,
        "fileSize": track.bytes,
        "mimeType": track.mime,
        "uploadedAt": iso(track.created),
        "expiresAt": iso(track.expires) if track.expires else None,
        "fileId": track.audio_id,
        "taskId": track.task_id,
        "audioId": track.audio_id,
    }


def iso(milliseconds: int) -> str:
    """Epoch milliseconds as upstream writes a time: `2026-04-16T07:19:10.400Z`."""
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
