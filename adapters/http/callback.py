"""Where answers of the HTTP channel may be posted, and the posting."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import aiohttp

from brain.errors import ChannelDown, ConfigError
from brain.messages import Receipt

CONNECT_SECONDS, TOTAL_SECONDS = 5.0, 15.0
LONGEST_URL: Final = 2000

# Stricter than any parser, so that ours and the client's cannot read two hosts in one address: no
# user, no fragment, no backslash, nothing beyond ASCII.
_URL: Final = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?(?:[/?][!\"$-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_HOST: Final = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE)
_PORTS: Final = {"https": "443", "http": "80"}
# Refused before anything was done with it.
_LATER: Final = frozenset({429, 503})


class Callbacks:
    """Posts answers to the hosts that the configuration names, and to no other."""

    def __init__(
        self, hosts: Iterable[str], *, headers: Callable[[bytes], Mapping[str, str]]
    ) -> None:
        """`hosts` are `host` (its usual port) or `host:port`; `headers` signs a body.

        Raises ConfigError for what is no host.
        """
        self._allowed = {_host(entry) for entry in hosts}
        self._headers = headers

    def may_call(self, url: str) -> bool:
        """Whether answers may be posted to `url`: https, or http to this very machine."""
        match = _URL.fullmatch(url)
        if match is None or len(url) > LONGEST_URL:
            return False
        scheme, host, port = match[1].lower(), match[2].lower(), match[3] or ""
        if scheme == "http" and not _is_loopback(host):
            return False
        usual = (port or _PORTS[scheme]) == _PORTS[scheme]
        return (host, port) in self._allowed or (usual and (host, "") in self._allowed)

    async def post(self, url: str, body: bytes) -> Receipt:
        """Post `body` once, following nothing. What the receiver refuses for good is `parked`.

        Raises ChannelDown when it certainly was not taken and should be posted again.
        """
        headers = {"Content-Type": "application/json; charset=utf-8", **self._headers(body)}
        timeout = aiohttp.ClientTimeout(total=TOTAL_SECONDS, connect=CONNECT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ChannelDown(f"the callback host: {type(error).__name__}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Receipt(outcome="unknown", reason=f"the callback: {type(error).__name__}")
        if status in _LATER:
            raise ChannelDown(f"the callback answered {status}")
        if status >= 500:
            return Receipt(outcome="unknown", reason=f"the callback answered {status}")
        if status >= 300:
            return Receipt(outcome="parked", reason=f"the callback answered {status}")
        return Receipt(outcome="delivered")


def _host(entry: str) -> tuple[str, str]:
    match = _HOST.fullmatch(entry.strip())
    if match is None:
        raise ConfigError(
            f"channels.http.callback_hosts: {entry!r} is no host; write shop.example or shop.example:8443"
        )
    return match[1].lower(), match[2] or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
