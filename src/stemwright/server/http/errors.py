"""The one table from our errors to the wire: code per dialect, HTTP status, and what the client is told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus

from stemwright import errors
from stemwright.server.store.database import outage


class Meaning(Enum):
    """What an answer means; its value is the code in the dialects `apikley` and `sunoapi`."""

    SUCCESS = (200, 200)
    BAD_JSON = (400, 400)
    NO_ACCESS = (401, 401)
    NO_CREDITS = (402, 429)
    NOT_FOUND = (404, 404)
    CONFLICT = (409, 409)
    FORBIDDEN = (403, 403)
    GONE = (410, 410)
    TOO_LARGE = (413, 413)
    INVALID = (422, 400)
    RATE_LIMITED = (429, 405)
    TOO_FREQUENT = (429, 430)
    MAINTENANCE = (455, 455)
    UNEXPECTED = (500, 500)

    def code(self, dialect: str) -> int:
        """The code in the envelope."""
        return self.value[1 if dialect == "sunoapi" else 0]


MEANINGS: Mapping[type[errors.StemwrightError], Meaning] = {
    # what a client can do something about
    errors.InvalidKey: Meaning.NO_ACCESS,
    errors.OutOfScope: Meaning.NO_ACCESS,
    errors.NotSignedIn: Meaning.NO_ACCESS,
    errors.NotAllowed: Meaning.FORBIDDEN,
    errors.ForgedRequest: Meaning.FORBIDDEN,
    errors.OutOfCredits: Meaning.NO_CREDITS,
    errors.BadJson: Meaning.BAD_JSON,
    errors.InvalidRequest: Meaning.INVALID,
    errors.MissingCallback: Meaning.INVALID,
    errors.WrongUrl: Meaning.INVALID,
    errors.UnknownFormat: Meaning.INVALID,
    errors.BadSound: Meaning.INVALID,
    errors.TrackNotFound: Meaning.INVALID,
    errors.TrackElsewhere: Meaning.INVALID,
    errors.TrackUnfinished: Meaning.INVALID,
    errors.UpstreamKeyMissing: Meaning.NO_ACCESS,
    errors.UpstreamRefused: Meaning.NO_ACCESS,
    errors.UpstreamBusy: Meaning.RATE_LIMITED,
    errors.UpstreamFailed: Meaning.MAINTENANCE,
    errors.IdempotencyReused: Meaning.INVALID,
    errors.TaskNotFound: Meaning.NOT_FOUND,
    errors.NoSuchRoute: Meaning.NOT_FOUND,
    errors.KeyNotFound: Meaning.NOT_FOUND,
    errors.KeyEnded: Meaning.INVALID,
    errors.KeyRevoked: Meaning.INVALID,
    errors.AccountClosed: Meaning.NO_ACCESS,
    errors.AccountNotFound: Meaning.NOT_FOUND,
    errors.AccountExists: Meaning.CONFLICT,
    errors.BlobNotFound: Meaning.NOT_FOUND,
    errors.FileGone: Meaning.GONE,
    errors.RequestRunning: Meaning.CONFLICT,
    errors.SongGone: Meaning.GONE,
    errors.NoCallback: Meaning.CONFLICT,
    errors.StillDelivering: Meaning.CONFLICT,
    errors.TaskEnded: Meaning.CONFLICT,
    errors.TaskRunning: Meaning.CONFLICT,
    errors.BodyTooLarge: Meaning.TOO_LARGE,
    errors.TooLarge: Meaning.TOO_LARGE,
    errors.UploadsFull: Meaning.TOO_LARGE,
    errors.RateLimited: Meaning.RATE_LIMITED,
    errors.QueueFull: Meaning.RATE_LIMITED,
    errors.TooFrequent: Meaning.TOO_FREQUENT,
    errors.TooManyUploads: Meaning.TOO_FREQUENT,
    errors.UnderMaintenance: Meaning.MAINTENANCE,
    # fetching what the client named
    errors.AddressError: Meaning.INVALID,
    errors.BadUrl: Meaning.INVALID,
    errors.BlockedAddress: Meaning.INVALID,
    errors.Unreachable: Meaning.INVALID,
    errors.FetchCutOff: Meaning.INVALID,
    errors.FetchTimeout: Meaning.INVALID,
    errors.FetchTooLarge: Meaning.TOO_LARGE,
    errors.TooManyRedirects: Meaning.INVALID,
    errors.BadStatus: Meaning.INVALID,
    errors.FetchedPage: Meaning.INVALID,
    # what no request can cause: one that meets it has found a fault of ours
    **dict.fromkeys(
        (
            errors.StemwrightError,
            errors.ServiceError,
            errors.AccountStays,
            errors.BadSetting,
            errors.BackupElsewhere,
            errors.BackupNotEmpty,
            errors.CannotBackUp,
            errors.BlobsAway,
            errors.CannotOpenBlobs,
            errors.CannotReachDatabase,
            errors.CannotOpenData,
            errors.ChildDied,
            errors.DataInUse,
            errors.DataTooNew,
            errors.DataTooOld,
            errors.InputRefused,
            errors.LedgerBroken,
            errors.LimitExceeded,
            errors.ModelsNotReady,
            errors.NoData,
            errors.NotConfirmed,
            errors.NothingCharged,
            errors.PortInUse,
            errors.SeparationFailed,
            errors.Superseded,
            errors.UnknownBlobs,
        ),
        Meaning.UNEXPECTED,
    ),
}

_RETRY_SECONDS = {Meaning.RATE_LIMITED: 10, Meaning.TOO_FREQUENT: 1, Meaning.MAINTENANCE: 60}
_OUTAGE_SECONDS = 10
# Codes that HTTP does not have, or that mean something else there.
_NEAREST = {455: 503, 430: 429, 405: 429}
_ALWAYS_SENT = {429, 500, 503}
_UNEXPECTED = "Internal Error - Please try again later."


def meaning(fault: Exception) -> Meaning:
    """What this error is on the wire; the nearest of its classes decides."""
    return next((MEANINGS[kind] for kind in type(fault).__mro__ if kind in MEANINGS), Meaning.UNEXPECTED)


def message(fault: Exception) -> str:
    """What the client is told: nothing about our inside when the fault is ours."""
    return _UNEXPECTED if meaning(fault) is Meaning.UNEXPECTED else str(fault)


def status(code: int, *, always_200: bool = False) -> int:
    """The HTTP status for a code: itself where HTTP has it, else the nearest; or 200, as upstream sends."""
    mirrored = _NEAREST.get(code) or (code if code in set(HTTPStatus) else 500)
    return 200 if always_200 and mirrored not in _ALWAYS_SENT else mirrored


def retry_after(fault: Exception) -> int | None:
    """Seconds until it makes sense to try again; None when waiting does not help."""
    if isinstance(fault, errors.RateLimited):
        return int(str(fault.fields["retry_after"]))
    return _OUTAGE_SECONDS if outage(fault) else _RETRY_SECONDS.get(meaning(fault))
