"""Webhooks call what is public, and nothing that only the worker can reach."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.channels.addresses import Forbidden, Target, is_public

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001:db8::1",
    "2001:0:7f00:1::80ff:fefe",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_disguise(address: IPv4Address) -> None:
    public = is_public(address)
    assert is_public(IPv6Address(f"::ffff:{address}")) == public
    assert is_public(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))) == public
    assert is_public(IPv6Address((0x2002 << 112) + (int(address) << 80) + 1)) == public


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://crm.example/", "write https://host/path"),
        ("crm.example/hook", "no web address"),
        ("file:///etc/passwd", "write https://host/path"),
        ("http:///path", "write https://host/path"),
        ("https://ada:secret@crm.example/", "no name and no password"),
        ("https://crm.example\\@127.0.0.1/", "no name and no password"),
        ("https://crm.example:0/", "0 is no port"),
        ("https://crm.example:99999/", "99999 is no port"),
        ("https://crm.example/\x00", "no web address"),
    ],
)
def test_what_is_no_web_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(Forbidden, match=why) as error:
        Target.parse(url)
    assert "secret" not in str(error.value)


def test_any_port_will_do() -> None:
    assert [Target.parse(f"http://crm.example{port}/").port for port in ("", ":80", ":1", ":65535")] == [
        80,
        80,
        1,
        65535,
    ]


def test_the_host_keeps_its_name_when_the_address_takes_its_place() -> None:
    target = Target.parse("https://Kaffee-Röster.example:8443/hook?a=1&b=2")
    assert target.host == "xn--kaffee-rster-cjb.example"
    assert target.place == f"{target.host}:8443"
    assert str(target.at(ip_address("8.8.8.8"))) == "https://8.8.8.8:8443/hook?a=1&b=2"
    assert str(target.at(ip_address("2606:4700::1111"))) == "https://[2606:4700::1111]:8443/hook?a=1&b=2"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "017700000001", "127.1", "[::1]", "[::ffff:7f00:1]", "localhost", "0"]
)
async def test_this_machine_is_not_called_under_any_name(host: str) -> None:
    with pytest.raises(Forbidden, match="not public; WAYMARK_WEBHOOK_PRIVATE_NETWORKS=true"):
        await Target.parse(f"http://{host}:8080/").resolve(private_networks=False)


async def test_private_networks_are_called_where_they_are_allowed() -> None:
    assert await Target.parse("http://10.1.2.3/").resolve(private_networks=True) == [ip_address("10.1.2.3")]


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, "8.8.8.8", "169.254.169.254")
    with pytest.raises(Forbidden, match=r"crm\.example, which is 169\.254\.169\.254, is not public"):
        await Target.parse("https://crm.example/").resolve(private_networks=False)


async def test_every_address_of_a_name_is_known_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, "2606:4700::1111", "8.8.8.8", "8.8.8.8")
    found = await Target.parse("https://crm.example/").resolve(private_networks=False)
    assert found == [ip_address("2606:4700::1111"), ip_address("8.8.8.8")]


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
async def test_an_impossible_name_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="no name of a host"):
        await Target.parse(f"http://{host}/").resolve(private_networks=False)


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name stand for these addresses."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (one, 443)) for one in addresses])
