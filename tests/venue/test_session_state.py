"""Where a connection stands: every step of the table on a real session, no step that is not in it, and any steps in any order."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.venue.session_state import (
    ANONYMOUS,
    CLOSED,
    ENDED,
    HOLDING,
    OPEN,
    RENEWING,
    SIGNED_IN,
    SIGNING_IN,
    TRANSITIONS,
    ImpossibleStep,
    SessionState,
    Step,
    after,
)
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import Confirmed, Error, LoggedIn, Login, Logout, Ping, Pong
from tests.setting import START, token
from tests.worlds import Desk, QuietMarket

GOOD = token("alice", START)


class SlowMarket(QuietMarket):
    """A market that finds an account when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_for: list[Callable[[int | None, ErrorCode], None]] = []

    def open_account(self, subject: str, now: int, opened: Callable[[int | None, ErrorCode], None]) -> None:
        self.looked_for.append(opened)

    def find(self, account: int | None) -> None:
        """Say the account that was looked for first, or that there is none. Nothing if none was looked for."""
        if self.looked_for:
            self.looked_for.pop(0)(account, ErrorCode.TOO_MANY_ACCOUNTS)


class Line:
    """A connection to a slow market, and each step as something that happens to it."""

    def __init__(self) -> None:
        self.market = SlowMarket()
        self.market.exchange.open_account()
        self.desk = Desk(self.market)
        self.session = self.desk.session
        self.steps: dict[Step, Callable[[], object]] = {
            Step.SIGN_IN: lambda: self.desk.put(Login, GOOD),
            Step.ACCOUNT: lambda: self.market.find(0),
            Step.NO_ACCOUNT: lambda: self.market.find(None),
            Step.SIGN_OUT: lambda: self.desk.put(Logout),
            Step.CLOSE: lambda: self.session.close(CloseCode.DISCONNECTED, ""),
            Step.END: self.end,
        }

    def end(self) -> None:
        """The socket is gone, which happens once."""
        if self.session in self.market.sessions:
            self.market.disconnect(self.session, self.market.now)

    def take(self, *steps: Step) -> "Line":
        """Have these things happen."""
        for step in steps:
            self.steps[step]()
        return self


WAYS: dict[SessionState, tuple[Step, ...]] = {
    ANONYMOUS: (),
    SIGNING_IN: (Step.SIGN_IN,),
    SIGNED_IN: (Step.SIGN_IN, Step.ACCOUNT),
    RENEWING: (Step.SIGN_IN, Step.ACCOUNT, Step.SIGN_IN),
    CLOSED: (Step.CLOSE,),
    ENDED: (Step.END,),
}
"""How a connection comes to each state."""

ALL = list(product(Step, SessionState))
POSSIBLE = [(step, state) for step, state in ALL if state in TRANSITIONS[step]]


def name(value: Step | SessionState) -> str:
    return value.name.lower()


@pytest.mark.parametrize(("step", "state"), POSSIBLE, ids=name)
def test_each_step_leads_where_the_table_says(step: Step, state: SessionState) -> None:
    line = Line().take(*WAYS[state])
    assert line.session.state is state
    assert line.take(step).session.state is TRANSITIONS[step][state]


@pytest.mark.parametrize(("step", "state"), [pair for pair in ALL if pair not in POSSIBLE], ids=name)
def test_no_other_step_is_possible(step: Step, state: SessionState) -> None:
    with pytest.raises(ImpossibleStep, match=f"^{step.name} while {state.name}$"):
        after(state, step)


@pytest.mark.parametrize("state", [CLOSED, ENDED], ids=name)
@pytest.mark.parametrize("account", [0, None])
def test_an_account_that_is_found_too_late_changes_nothing(state: SessionState, account: int | None) -> None:
    line = Line().take(Step.SIGN_IN, *WAYS[state])
    line.desk.hear()
    line.market.find(account)
    assert (line.session.state, line.session.subject, line.desk.hear()) == (state, "", [])


@given(st.lists(st.sampled_from([*Step, Ping]), max_size=30))
def test_whatever_happens_all_is_answered_once_and_in_order(events: list[Any]) -> None:
    line = Line()
    session, market = line.session, line.market
    for event in events:
        line.desk.put(Ping) if event is Ping else line.take(event)
        assert (session.state in OPEN) == (session.closed is None)
        assert (session.state in (SIGNED_IN, RENEWING)) <= (session.subject == "alice")
        assert (session.state in HOLDING) <= bool(market.looked_for)
        line.desk.hear()
        answers = [answer.id for answer in line.desk.heard if isinstance(answer, Confirmed | Error | LoggedIn | Pong)]
        assert answers == list(range(1, len(answers) + 1))
        if session.state in OPEN and session.state not in HOLDING:
            assert len(answers) == line.desk.id
    line.take(Step.END)
    assert market.limits.account(0, market.now).connections == 0
    assert session.place.connections == 0
