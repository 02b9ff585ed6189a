"""What a proxy in front of us says about the client, believed only from the addresses that the operator trusts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from stemwright.server.network import Network, is_within

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")

_WITH_PORT = re.compile(r"^([0-9.]+):\d+$|^\[([0-9A-Fa-f:.]+)\](?::\d+)?$")  # some proxies tell the client's port too


class Proxies:
    """The networks whose X-Forwarded-… fields count."""

    def __init__(self, trusted: Iterable[Network]) -> None:
        self._trusted = tuple(trusted)

    def base_url(self, scope: Scope) -> str:
        """The scheme and host that the client used; `http://localhost` when it sent no host that could be one."""
        sent = Headers(scope=scope)
        scheme, host = scope["scheme"], sent.get("host", "")
        if self._trusts((scope.get("client") or ("",))[0]):
            scheme = _first(sent.get("x-forwarded-proto", "")).lower() or scheme
            host = _first(sent.get("x-forwarded-host", "")) or host
        scheme = scheme if scheme in ("http", "https") else "http"
        return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"

    def client(self, scope: Scope) -> str:
        """The address of the client: the last one in X-Forwarded-For that is not a trusted proxy's."""
        address = (scope.get("client") or ("",))[0]
        told = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))  # some proxies add a line below the client's
        passed = [part.strip() for part in told.split(",") if part.strip()]
        while passed and self._trusts(address):
            address = _WITH_PORT.sub(r"\1\2", passed.pop())
        return address

    def _trusts(self, address: str) -> bool:
        return is_within(address, self._trusted)


def _first(field: str) -> str:
    return field.split(",", maxsplit=1)[0].strip()
