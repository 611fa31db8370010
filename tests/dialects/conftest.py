"""A spot venue with users, for every test of what they do there."""

import pytest

from tests.dialects.traders import Hand, Trading


@pytest.fixture
def spot() -> Trading:
    return Trading()


@pytest.fixture
def alice(spot: Trading) -> Hand:
    return spot.trader("alice")


@pytest.fixture
def bob(spot: Trading) -> Hand:
    return spot.trader("bob")
