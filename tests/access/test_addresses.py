"""Who is counted as whom: every form of one client's address is one client, every client another, and no client can choose what it is counted as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.access.addresses import Proxies, block_of, for_parameters, parse
from stream.settings.config import ConfigError

PROXY, OTHER_PROXY, CLIENT = "10.0.0.1", "10.0.0.2", "203.0.113.7"
TRUSTED = Proxies(["10.0.0.0/8", "fd00::/8", "::1"])


@pytest.mark.parametrize(("forms", "block"), [
    (("1.2.3.4", " 1.2.3.4 ", "1.2.3.4:80", "[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", "::FFFF:102:304", "0:0:0:0:0:ffff:1.2.3.4", "2002:102:304::1",
      "2002:0102:0304:5::9", "64:ff9b::1.2.3.4", "64:FF9B::102:304"), "1.2.3.4"),
    (("2001:db8:1:2::5", "2001:DB8:1:2:ffff::1", "[2001:db8:1:2::5]", "[2001:0db8:0001:0002::5]:443", "2001:db8:1:2::5%eth0"), "2001:db8:1:2::/64"),
    (("2001:db8:1:3::5",), "2001:db8:1:3::/64"),
    (("fe80::1%eth0",), "fe80::1%eth0"),
    (("fe80::2%eth0",), "fe80::2%eth0"),
    (("fe80::1%eth1",), "fe80::1%eth1"),
    (("64:ff9b::1.2.3.5",), "1.2.3.5"),
    (("::1",), "::/64"),
])
def test_every_form_of_an_address_is_one_client(forms: tuple[str, ...], block: str) -> None:
    assert {block_of(form) for form in forms} == {block}


@pytest.mark.parametrize("text", [
    "", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4:http", "1.2.3.4:123456", "[1.2.3.4", "::1]", "[::1]80",
    "<junk>" + "z" * 3000, "2001:db8::1::2", "1.2.3.4 5.6.7.8", "\x00", "\u0661.\u0662.\u0663.\u0664", "1.2.3.4\n",
])
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None or text.strip() != text


@pytest.mark.parametrize(("peer", "forwarded_for", "forwarded", "client"), [
    # who is not trusted speaks for nobody
    (CLIENT, ["1.1.1.1"], [], CLIENT),
    ("::ffff:203.0.113.7", ["1.1.1.1"], ["for=1.1.1.1"], CLIENT),
    # the last that the proxy added, in the last line
    (PROXY, [], [], PROXY),
    (PROXY, [CLIENT], [], CLIENT),
    (PROXY, ["1.1.1.1, " + CLIENT], [], CLIENT),
    (PROXY, ["1.1.1.1", CLIENT], [], CLIENT),
    (PROXY, ["1.1.1.1, 2.2.2.2", "3.3.3.3," + CLIENT], [], CLIENT),
    ("::ffff:10.0.0.1", [CLIENT], [], CLIENT),
    ("::1", ["[2001:DB8::7]:4711"], [], "2001:db8::7"),
    # a chain of trusted ones, from the right
    (PROXY, [f"1.1.1.1, {CLIENT}, {OTHER_PROXY}"], [], CLIENT),
    (PROXY, ["1.1.1.1", CLIENT, f"{OTHER_PROXY}:80"], [], CLIENT),
    (PROXY, [f"10.9.9.9, {OTHER_PROXY}"], [], "10.9.9.9"),
    # a program on the machine of a proxy, which names its own address again
    (PROXY, [f"1.1.1.1, {PROXY}"], [], PROXY),
    (PROXY, [f"1.1.1.1, {OTHER_PROXY}, {PROXY}"], [], PROXY),
    (PROXY, [f"1.1.1.1, {OTHER_PROXY}, {OTHER_PROXY}"], [], OTHER_PROXY),
    ("::ffff:10.0.0.1", [], [f"for=1.1.1.1, for={PROXY}"], PROXY),
    # what is no address ends it at the proxy that said so
    (PROXY, ["1.1.1.1, <junk>" + "z" * 3000], [], PROXY),
    (PROXY, ["1.1.1.1, "], [], PROXY),
    (PROXY, [f"1.1.1.1, unknown, {OTHER_PROXY}"], [], OTHER_PROXY),
    # RFC 7239
    (PROXY, [], [f"for={CLIENT}"], CLIENT),
    (PROXY, [], [f"For={CLIENT};proto=https;by=10.0.0.1"], CLIENT),
    (PROXY, [], ['for=1.1.1.1, for="203.0.113.7:4711";host="a, b;c"'], CLIENT),
    (PROXY, [], ["for=1.1.1.1", f"proto=http ; for={CLIENT}"], CLIENT),
    (PROXY, [], ['for="[2001:DB8::7]:4711"'], "2001:db8::7"),
    (PROXY, [], ['for="[2001:db8::7]"'], "2001:db8::7"),
    (PROXY, [], ['for="203.0.113\\.7"'], CLIENT),
    (PROXY, [], [f"for={CLIENT}, for={OTHER_PROXY}"], CLIENT),
    (PROXY, [], ["for=1.1.1.1, for=_hidden"], PROXY),
    (PROXY, [], ["for=1.1.1.1, for=unknown"], PROXY),
    (PROXY, [], ["for=1.1.1.1, proto=http"], PROXY),
    (PROXY, [], ['for="1.1.1.1, for=2.2.2.2'], PROXY),
    # a proxy that writes one of the two headers lets the other one through
    (PROXY, [CLIENT], ["for=1.1.1.1"], PROXY),
    (PROXY, ["1.1.1.1"], [f"for={CLIENT}"], PROXY),
    (PROXY, [CLIENT], [f"for={CLIENT}"], CLIENT),
])
def test_whom_a_proxy_speaks_for(peer: str, forwarded_for: list[str], forwarded: list[str], client: str) -> None:
    assert TRUSTED.client_of(peer, forwarded_for, forwarded) == client


@given(st.lists(st.text(max_size=80), max_size=4), st.lists(st.text(max_size=80), max_size=4))
def test_no_text_of_a_client_is_taken_for_an_address_behind_a_proxy_that_appends(spoofed_for: list[str], spoofed: list[str]) -> None:
    assert TRUSTED.client_of(PROXY, [*spoofed_for, CLIENT], []) == CLIENT
    assert TRUSTED.client_of(PROXY, [], [*spoofed, f"for={CLIENT}"]) == CLIENT
    assert TRUSTED.client_of(PROXY, [*spoofed_for, CLIENT], spoofed) in (PROXY, CLIENT)


def test_a_long_header_costs_little() -> None:
    assert for_parameters('for="' * 4000) == [""]
    assert len(for_parameters("for=a," * 4000)) == 4001


@pytest.mark.parametrize("trusted", ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.1/32"])
def test_a_proxy_is_trusted_whatever_form_its_address_is_written_in(trusted: str) -> None:
    assert Proxies([trusted]).client_of(PROXY, [CLIENT], []) == CLIENT
    assert Proxies([trusted]).client_of(f"::ffff:{PROXY}", [CLIENT], []) == CLIENT


@pytest.mark.parametrize("trusted", ["localhost", "10.0.0.256", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_address_is_refused(trusted: str) -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        Proxies([trusted])
