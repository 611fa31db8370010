"""Where a connection stands with its client, and what may happen to it next: one table, without a socket, a clock or a message.

A connection begins *anonymous*: its client may ask for all that is public. A good token has the market find the account of its
subject, or open one, which can take a write to the disk. Until then the connection is *signing in*: what its client asks is held,
so that all is answered in order. Then it is *signed in*, until a logout. A newer token may come at any time. While its account is
looked for the connection is *renewing*: it holds what is asked as before, and stays signed in by the older token if there is no account.

    ANONYMOUS -- SIGN_IN --> SIGNING_IN -- ACCOUNT --> SIGNED_IN <-- ACCOUNT or NO_ACCOUNT -- RENEWING
        ^                         |                    |       |                                 ^
        +------- NO_ACCOUNT ------+                    |       +------------ SIGN_IN ------------+
        +----------------- SIGN_OUT -------------------+

In any of these the connection may be *closed*, for a reason that its client is told: nothing that it sends is looked at any more, and
the goodbye is the last that it hears. It has *ended* when its socket is gone, with or without a goodbye.

A step that is not in the table is a bug of ours, never a client's doing. So whoever takes a step asks first for what may have come in
between, as an account does that is found for a connection that has been closed.

How much waits to be written is not here: a socket can be full in each of these states, and `Outbox` looks at that for every frame.
"""

from enum import Enum, auto


class SessionState(Enum):
    """Where a connection stands."""

    ANONYMOUS = auto()
    SIGNING_IN = auto()
    SIGNED_IN = auto()
    RENEWING = auto()
    CLOSED = auto()
    ENDED = auto()


class Step(Enum):
    """What happens to it."""

    SIGN_IN = auto()       # a token is good: its account is looked for
    ACCOUNT = auto()       # the account is there
    NO_ACCOUNT = auto()    # there is none, and none can be opened
    SIGN_OUT = auto()      # the client logs out, which it may do without having signed in
    CLOSE = auto()         # we have a reason to say no more
    END = auto()           # the socket is gone


ANONYMOUS, SIGNING_IN, SIGNED_IN, RENEWING, CLOSED, ENDED = SessionState

OPEN = (ANONYMOUS, SIGNING_IN, SIGNED_IN, RENEWING)
"""Those in which the client is heard."""

HOLDING = (SIGNING_IN, RENEWING)
"""Those in which what the client asks is held until the account is known."""

TRANSITIONS: dict[Step, dict[SessionState, SessionState]] = {
    Step.SIGN_IN: {ANONYMOUS: SIGNING_IN, SIGNED_IN: RENEWING},
    Step.ACCOUNT: {SIGNING_IN: SIGNED_IN, RENEWING: SIGNED_IN},
    Step.NO_ACCOUNT: {SIGNING_IN: ANONYMOUS, RENEWING: SIGNED_IN},
    Step.SIGN_OUT: {ANONYMOUS: ANONYMOUS, SIGNED_IN: ANONYMOUS},
    Step.CLOSE: dict.fromkeys(OPEN, CLOSED),
    Step.END: dict.fromkeys((*OPEN, CLOSED), ENDED),
}


class ImpossibleStep(Exception):
    """A connection cannot take a step in its state: a bug of ours."""


def after(state: SessionState, step: Step) -> SessionState:
    """The state behind a step. ImpossibleStep if there is none."""
    try:
        return TRANSITIONS[step][state]
    except KeyError:
        raise ImpossibleStep(f"{step.name} while {state.name}") from None
