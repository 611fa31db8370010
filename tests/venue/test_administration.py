"""What an administrator says reaches every gateway of a market, is on disk before it is confirmed, and outlives restarts."""

import hmac
import random
from typing import Any

import msgspec
import pytest

from stream.access.api_keys import ApiKey, Cause, RequestRefused, secret_of
from stream.cluster.messages import Forward
from stream.cluster.roll_call import ANSWER_BYTES_MAX, GatewayAnswer, answer_of, merged
from stream.commands.directory import AskedConnections, ClosedSubject, Entry, GatewayName, RevokedSubject, ToldConnections, Unknown
from stream.commands.forwarded import Forwarded, last_number
from stream.journal.format import JournalError
from stream.venue.announcements import CLOSED_KEPT_S
from stream.wire.administration import Disconnect, ListConnections, Revoke
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import Confirmed, Connections, ConnectionStatus, Error, Login
from tests.cluster.cluster import Cluster, state_of
from tests.journal.fake_disk import FakeDisk
from tests.market.journaled import after_a_power_cut, start
from tests.setting import CONFIG, START, token
from tests.venue.test_presence import beat_of, pass_time, sign_in, take_over
from tests.worlds import Desk, QuietMarket

STRANGER = 77
"""The number of a process that is none of the cluster's."""


def admin(cluster: Cluster, number: int = 0) -> Desk:
    desk = sign_in(cluster, number, "root")
    desk.ask(Login, token("root", cluster.now, "admin"))
    cluster.step()
    return desk


def ask(cluster: Cluster, desk: Desk, kind: type[Any], *fields: Any, **named: Any) -> Any:
    """The answer, once there is one."""
    desk.ask(kind, *fields, **named)
    for _ in range(100):
        answers = [each for each in desk.heard if getattr(each, "id", None) == desk.id]
        if answers:
            return answers[0]
        cluster.step(100)
        desk.hear()
    raise TimeoutError(kind)


def code_of(desk: Desk) -> CloseCode | None:
    return desk.session.closed[0] if desk.session.closed else None


def is_let_in(market: Any, subject: str, issued: int, **claims: Any) -> bool:
    desk = Desk(market)
    desk.ask(Login, token(subject, issued, "market account trade", **claims))
    return bool(desk.session.subject)


@pytest.mark.parametrize("by", ["subject", "token"])
def test_a_revocation_reaches_every_gateway(by: str) -> None:
    cluster = Cluster(3)
    root = admin(cluster)
    desks = []
    for gateway in cluster.gateways:
        desks.append(Desk(gateway))
        desks[-1].ask(Login, token("mallory", cluster.now, "market account trade", jti="evil"))
    cluster.step()
    bystander = sign_in(cluster, 1, "bob")
    assert isinstance(ask(cluster, root, Revoke, *(("mallory",) if by == "subject" else ("", "evil"))), Confirmed)
    cluster.step()
    assert [code_of(desk) for desk in desks] == [CloseCode.REVOKED] * 3
    assert code_of(bystander) is code_of(root) is None
    assert not any(is_let_in(gateway, "mallory", START, jti="evil") for gateway in cluster.gateways)
    assert not is_let_in(cluster.add_gateway(), "mallory", START, jti="evil"), "a gateway that begins later knows"
    take_over(cluster)
    assert not is_let_in(cluster.add_gateway(), "mallory", START, jti="evil"), "and one of the next engine"


@pytest.mark.parametrize("by", ["subject", "key"])
def test_a_revoked_api_key_is_out_at_every_gateway(by: str) -> None:
    """It is revoked by its id as a token is, and by its subject; whoever has signed in with it is closed, and no request of its own is good again."""
    cluster = Cluster(3)
    key = ApiKey("k-1", "mallory", ("account", "trade"), START // 10**9 - 10, START // 10**9 + 10**7)
    signed, now = b"timestamp=1", START / 10**9

    def knows(gateway: Any) -> str:
        gateway.authenticator.api_keys.take({key.id: key}, b"a master key that is long enough to be one")
        return hmac.new(secret_of(key, b"a master key that is long enough to be one").encode(), signed, "sha256").hexdigest()

    def cause(gateway: Any) -> Cause | None:
        try:
            gateway.authenticator.verify_request("k-1", signed, knows(gateway), now)
        except RequestRefused as refused:
            return refused.cause
        return None

    desks = []
    for gateway in cluster.gateways:
        assert cause(gateway) is None
        desks.append(Desk(gateway))
        desks[-1].session.sign_in(gateway.authenticator.verify_request("k-1", signed, knows(gateway), now), cluster.now, lambda: None)
    cluster.step()
    root, bystander = admin(cluster), sign_in(cluster, 1, "bob")
    assert [desk.session.subject for desk in desks] == ["mallory"] * 3
    assert isinstance(ask(cluster, root, Revoke, *(("mallory",) if by == "subject" else ("", "k-1"))), Confirmed)
    cluster.step()
    assert [code_of(desk) for desk in desks] == [CloseCode.REVOKED] * 3
    assert code_of(bystander) is code_of(root) is None
    assert [cause(gateway) for gateway in cluster.gateways] == [Cause.KEY] * 3
    assert cause(cluster.add_gateway()) is Cause.KEY, "a gateway that begins later knows"
    take_over(cluster)
    assert cause(cluster.add_gateway()) is Cause.KEY, "and one of the next engine"


def test_a_gateway_that_was_away_hears_of_it_from_the_snapshot() -> None:
    cluster = Cluster(2)
    root, mallory, bob = admin(cluster), sign_in(cluster, 1, "mallory"), sign_in(cluster, 1, "bob")
    cluster.link.ends[1].cut = True
    ask(cluster, root, Revoke, "mallory")
    ask(cluster, root, Disconnect, "bob")
    pass_time(cluster, 500)
    assert code_of(mallory) is code_of(bob) is None
    cluster.link.ends[1].cut = False
    cluster.link.snapshot = state_of(cluster.engine, cluster.now)
    pass_time(cluster, 2000)
    assert (code_of(mallory), code_of(bob)) == (CloseCode.REVOKED, CloseCode.DISCONNECTED)


def test_connections_are_closed_at_every_gateway() -> None:
    cluster = Cluster(2)
    root = admin(cluster)
    alices = [sign_in(cluster, number) for number in (0, 1, 1)]
    assert len({desk.session.number for desk in [root, *alices]}) == 4, "numbers are those of one connection in the whole market"
    ask(cluster, root, Disconnect, connection=alices[1].session.number)
    cluster.step()
    assert [code_of(desk) for desk in alices] == [None, CloseCode.DISCONNECTED, None]
    ask(cluster, root, Disconnect, "alice")
    cluster.step()
    assert [code_of(desk) for desk in alices] == [CloseCode.DISCONNECTED] * 3
    assert code_of(sign_in(cluster, 1)) is None, "who comes back is let in"
    assert isinstance(ask(cluster, root, Disconnect, "root"), Confirmed)
    assert code_of(root) is CloseCode.DISCONNECTED, "after the answer"


def test_the_connections_to_every_gateway_are_listed() -> None:
    cluster = Cluster(3)
    root = admin(cluster, 2)
    desks = [sign_in(cluster, number, f"trader{number}{n}") for number in range(3) for n in range(4)]
    numbers = sorted(desk.session.number for desk in [root, *desks])
    answer = ask(cluster, root, ListConnections)
    assert isinstance(answer, Connections)
    assert [each.connection for each in answer.connections] == numbers
    assert answer.unheard == []
    found, after = [], 0
    while page := ask(cluster, root, ListConnections, after, 5).connections:
        found += [each.connection for each in page]
        after = found[-1]
    assert found == numbers
    assert not [key for key in cluster.engine.sequencer.directory if isinstance(key, AskedConnections | ToldConnections)]


def test_a_gateway_that_does_not_say_who_is_connected_is_named() -> None:
    cluster = Cluster(2, gateway_timeout_ms=60_000)
    root = admin(cluster)
    sign_in(cluster, 1)
    cluster.link.ends[1].cut = True
    answer = ask(cluster, root, ListConnections)
    assert [each.subject for each in answer.connections] == ["root"]
    assert answer.unheard == ["101"]


def test_a_gateway_that_is_gone_is_not_waited_for() -> None:
    cluster = Cluster(2, gateway_timeout_ms=1000)
    root = admin(cluster)
    cluster.link.ends[1].cut = True
    for _ in range(20):
        beat_of(cluster, 0)
        cluster.step(100)
    assert ask(cluster, root, ListConnections).unheard == []


def stray(cluster: Cluster, *entries: Entry) -> None:
    """What a process of another version has remembered, by a group of its own."""
    number = last_number(cluster.engine.sequencer.directory, STRANGER) + 1
    cluster.engine.receive(Forward(Forwarded(STRANGER, number, b"", [], list(entries)), cluster.now), cluster.now)
    cluster.step()


UNREADABLE = [b"\xc1", b"text", b"\x91" * 5000, *map(msgspec.msgpack.encode, ([], [1], [1, "all"], ["all", 1], {"after": 0, "count": 1}, 7, None, [[7], True]))]
"""Neither questions nor answers."""


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_question_that_cannot_be_read_is_passed_over_and_told(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2)
    root, _ = admin(cluster), sign_in(cluster, 1)
    question = AskedConnections(STRANGER, 1)
    stray(cluster, Entry(question, value), Entry(question, None))
    assert [each.__dict__["entry"] for each in caplog.records if "cannot be read" in each.message] == [str(question)] * 2
    answer = ask(cluster, root, ListConnections)
    assert ([each.subject for each in answer.connections], answer.unheard) == (["root", "alice"], [])


@pytest.mark.parametrize("value", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_passed_over_and_its_gateway_named(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2, gateway_timeout_ms=60_000)
    root, _ = admin(cluster), sign_in(cluster, 1)
    cluster.link.ends[1].cut = True
    root.ask(ListConnections)
    answered = ToldConnections(100, 1, 101)
    stray(cluster, Entry(answered, value), Entry(answered, None))
    assert "cannot be read" in caplog.text
    for _ in range(100):
        cluster.step(100)
    (answer,) = [each for each in root.hear() if isinstance(each, Connections)]
    assert ([each.subject for each in answer.connections], answer.unheard) == (["root"], ["101"])
    assert isinstance(ask(cluster, root, Revoke, "mallory"), Confirmed), "the gateway goes on"


def test_a_later_version_may_say_more_and_have_a_name_that_is_no_text(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2, gateway_timeout_ms=60_000)
    root, alice = admin(cluster), sign_in(cluster, 1)
    stray(cluster, Entry(GatewayName(STRANGER), b"\xff"))
    told: list[Any] = []
    cluster.engine.sequencer.taken, taken = lambda group: (told.append(group), taken(group)), cluster.engine.sequencer.taken
    stray(cluster, Entry(AskedConnections(STRANGER, 5), msgspec.msgpack.encode([0, 10, "more"])))
    cluster.step()
    answers = {entry.key for group in told for entry in group.entries if isinstance(entry.key, ToldConnections)}
    assert answers == {ToldConnections(STRANGER, 5, gateway) for gateway in (100, 101)}
    root.ask(ListConnections)
    part = [*msgspec.msgpack.decode(answer_of(cluster.gateways[1].connections(0, 9))), "more"]
    stray(cluster, Entry(ToldConnections(100, 1, STRANGER), msgspec.msgpack.encode(part)))
    (answer,) = [each for each in root.hear() if isinstance(each, Connections)]
    assert ([each.subject for each in answer.connections], answer.unheard) == (["root", "alice", "alice"], [])
    cluster.gateways[1].roll_call.follow(Entry(Unknown("a word of another version"), b"1"))
    assert alice.session.closed is None
    assert ask(cluster, admin(cluster, 1), ListConnections).unheard == ["\ufffd"]
    assert "cannot be read" not in caplog.text


def test_an_answer_is_cut_off_where_it_is_too_long_and_nothing_is_missing_before_that() -> None:
    def status(number: int, size: int) -> ConnectionStatus:
        return ConnectionStatus(number, "a" * size, "", 0, 0, False, 0, 0, [])

    long = [status(number, ANSWER_BYTES_MAX // 8) for number in range(1, 30, 2)]
    part = answer_of(long)
    assert len(part) <= ANSWER_BYTES_MAX
    assert len(answer_of([status(1, 10)])) < 100
    cut = GatewayAnswer(long[:3], whole=False)
    other = GatewayAnswer([status(number, 1) for number in range(2, 30, 2)])
    assert [each.connection for each in merged([other, cut], 100)] == [1, 2, 3, 4, 5]
    assert [each.connection for each in merged([other, cut], 2)] == [1, 2]


def test_a_revocation_is_on_disk_before_it_is_confirmed() -> None:
    disk = FakeDisk(random.Random(1))
    history, journal = start(disk, CONFIG, START)
    market = QuietMarket(history, journal)

    def sync(desk: Desk) -> list[Any]:
        for _ in range(4):
            journal.sync()
            market.tick(market.now)
        return desk.hear()

    root = Desk(market)
    root.put(Login, token("root", market.now, "admin"))
    market.tick(market.now)
    sync(root)
    assert root.ask(Revoke, "mallory") == []
    again = start(after_a_power_cut(disk), CONFIG, START)[0]
    assert is_let_in(QuietMarket(again), "mallory", START), "it was not on disk"
    assert Confirmed(root.id) in sync(root)
    again = start(after_a_power_cut(disk), CONFIG, START)[0]
    assert not is_let_in(QuietMarket(again), "mallory", START)


def test_a_revocation_that_cannot_be_written_holds_here_and_is_not_confirmed() -> None:
    disk = FakeDisk(random.Random(1))
    history, journal = start(disk, CONFIG, START)
    market = QuietMarket(history, journal)
    root = Desk(market)
    root.put(Login, token("root", market.now, "admin"))
    for _ in range(4):
        market.tick(market.now)
        journal.sync()
    market.tick(market.now)
    journal.failure = JournalError("the disk is broken")
    (error,) = [each for each in root.ask(Revoke, "mallory") if isinstance(each, Error)]
    assert error.code == ErrorCode.OUTCOME_UNKNOWN
    assert not is_let_in(market, "mallory", START)


@pytest.mark.parametrize(("request_kind", "kept_s"), [(Revoke, CONFIG.api_key_lifetime_s_max + CONFIG.clock_skew_s), (Disconnect, CLOSED_KEPT_S)])
def test_what_was_said_is_forgotten_when_it_can_matter_no_more(request_kind: Any, kept_s: int) -> None:
    market = QuietMarket()
    root = Desk(market).sign_in("root", "admin")
    root.ask(request_kind, "mallory")
    for late, kept in ((kept_s - 1, 1), (kept_s + 1, 0)):
        market.now = START + late * 10**9
        market.keep_house(market.now)
        market.tick(market.now)
        assert len([key for key in market.sequencer.directory if key in (RevokedSubject("mallory"), ClosedSubject("mallory"))]) == kept
