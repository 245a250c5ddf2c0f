"""Addresses that a skill call brings along: which of them we trust, and how a late answer goes out."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from typing import Final, Literal

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, StreamReader

Fate = Literal["delivered", "not", "unknown"]
"""What became of a response: KakaoTalk has it, certainly not, or nobody knows."""

ANSWER_BYTES: Final = 64 * 1024

# As KakaoTalk writes them. What else an address may be made of, parsers disagree on.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<site>(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?)"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_PICTURES: Final = (".kakaocdn.net", ".talk.kakao.com")
_LOOPBACK: Final = ("127.0.0.1", "localhost")

_log = logging.getLogger(__name__)


def may_call_back(url: str, hosts: Sequence[str]) -> bool:
    """Whether a late answer may be posted to `url`.

    Only by https to a host of the list; by http to this machine, if the list has it with its port.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None or len(url) > 2000:
        return False
    host, site, port = match["host"].lower(), match["site"].lower(), match["port"]
    listed = [each.lower() for each in hosts]
    if match["scheme"] == "http":
        return host in _LOOPBACK and port is not None and site in listed
    return site in listed or (port == "443" and host in listed)


def host_of(url: str) -> str:
    """The host of a web address on a usual port; empty if it is none."""
    match = _ADDRESS.fullmatch(url)
    return match["host"].lower() if match and match["port"] in (None, "80", "443") else ""


def keeps_photos(url: str, hosts: Sequence[str] = ()) -> bool:
    """Whether the address is where KakaoTalk keeps what customers send.

    `hosts` may name a server of this machine with its port, as for callbacks.
    """
    match = _ADDRESS.fullmatch(url)
    local = match is not None and match["scheme"] == "http" and match["host"] in _LOOPBACK
    return host_of(url).endswith(_PICTURES) or (local and may_call_back(url, hosts))


async def post(url: str, body: bytes, *, seconds: float) -> Fate:
    """One sending to a callback, to nowhere else; never raises.

    Its address opens a conversation: it is not logged.
    """
    if seconds <= 0:
        return "not"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=seconds)) as session,
            session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json; charset=utf-8"},
                allow_redirects=False,
            ) as answered,
        ):
            return _judged(await _read(answered.content), answered.status)
    except ClientConnectorError as error:
        _log.warning("a callback could not be reached: %s", type(error).__name__)
        return "not"
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        _log.warning("a callback gave no answer: %s", type(error).__name__)
        return "unknown"


async def _read(content: StreamReader) -> bytes:
    said = bytearray()
    while len(said) < ANSWER_BYTES and (chunk := await content.read(ANSWER_BYTES)):
        said += chunk
    return bytes(said)


def _judged(said: bytes, code: int) -> Fate:
    """KakaoTalk says in the body what became of it, with whatever code."""
    try:
        status = json.loads(said)["status"]
    except (ValueError, TypeError, KeyError, RecursionError):
        _log.warning("a callback answered with code %d and no status", code)
        return "not" if 300 <= code < 500 else "unknown"
    if status == "SUCCESS":
        return "delivered"
    _log.warning("a callback was refused: %s", str(status)[:20])
    return "not"
