"""Which addresses a webhook may call: whatever is public, and private networks only where a setting allows them.

A map is written by colleagues, and the worker stands where they do not: beside databases, consoles and the cloud's
metadata service. So a name is resolved here, every address that it stands for is judged, and the connection goes to
one of the very addresses that were judged: asking the resolver again could give another answer.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

Address = IPv4Address | IPv6Address

_USUAL_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# Not every Python counts the first and the last as special (both IANA); the second is Azure's wire server.
_NOT_PUBLIC = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"), IPv6Network("3fff::/20"))


class Forbidden(ValueError):
    """This address is not called, by nobody's fault that could pass. The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes: the URL as it was read, once, for checking and for connecting alike."""

    url: httpx.URL
    port: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read the address of a webhook. Raises `Forbidden`."""
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as error:
            raise Forbidden(f"{text!r} is no web address: {error}") from None
        if url.scheme not in _USUAL_PORTS or not url.raw_host:
            raise Forbidden(f"{text!r} is no web address: write https://host/path")
        if url.userinfo:
            raise Forbidden("a web address here holds no name and no password: calls are signed")
        port = _USUAL_PORTS[url.scheme] if url.port is None else url.port
        if not 1 <= port <= 65535:
            raise Forbidden(f"{text!r} is no web address: {port} is no port")
        return cls(url, port)

    @property
    def host(self) -> str:
        """The name or address to resolve and to ask a certificate for; IDNA in ASCII."""
        return self.url.raw_host.decode("ascii").rstrip(".")

    @property
    def place(self) -> str:
        """The host and any unusual port, for people."""
        return self.url.netloc.decode("ascii")

    def at(self, address: Address) -> httpx.URL:
        """The URL with the name replaced by an address."""
        return self.url.copy_with(host=str(address))

    async def resolve(self, *, private_networks: bool) -> list[Address]:
        """All addresses of the host, in the order in which to try them.

        Raises:
            Forbidden: one of them is not public, and private networks are not allowed; or the name is impossible.
            OSError: the name cannot be resolved.
        """
        lookup = asyncio.get_running_loop().getaddrinfo
        try:
            found = await lookup(self.host, self.port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise Forbidden(f"{self.host!r} is no name of a host") from None
        addresses = list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
        wrong = None if private_networks else next((one for one in addresses if not is_public(one)), None)
        if wrong is not None:
            what = self.host if self.host == str(wrong) else f"{self.host}, which is {wrong},"
            raise Forbidden(f"{what} is not public; WAYMARK_WEBHOOK_PRIVATE_NETWORKS=true allows private networks")
        return addresses


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, itself and the IPv4 address that it may stand for."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST:
            return False
    special = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    return address.is_global and not address.is_multicast and not special


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which an IPv6 address leads: mapped, NAT64 (RFC 6052), 6to4 or Teredo."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
