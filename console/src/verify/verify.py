"""How a receiver checks that a callback is genuine."""

import base64
import hashlib
import hmac
import time


def is_genuine(headers, body: bytes, secret: str) -> bool:
    """headers: of the request, names in lower case; body: exactly the bytes that arrived."""
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False  # too old: somebody may have recorded it
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = (part.partition(",")[2] for part in headers["webhook-signature"].split())
    return any(hmac.compare_digest(expected, one) for one in given)
