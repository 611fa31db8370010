"""Places before the handshake: whoever is quick gets in, whatever others hold."""

import random

from stream.server.places import Places


def test_a_full_address_loses_its_own_oldest() -> None:
    places: Places[int] = Places(100, 2)
    assert [places.take(number, "a") for number in range(3)] == [None, None, 0]
    places.leave(0, "a")
    assert places.take(9, "b") is None
    assert places.take(5, "a") == 1


def test_a_full_house_takes_from_who_has_most() -> None:
    places: Places[int] = Places(4, 3)
    for number, address in enumerate("abab"):
        assert places.take(number, address) is None
    assert places.take(9, "c") in (0, 1)


def test_a_proxy_may_have_all() -> None:
    places: Places[int] = Places(5, 2)
    assert [places.take(number, "proxy", True) for number in range(6)] == [None] * 5 + [0]


def test_all_that_is_ever_held_is_what_there_is() -> None:
    """Random comings and goings, beside a list that is searched."""
    chance = random.Random(1)
    places: Places[int] = Places(20, 6)
    here: list[tuple[int, str]] = []
    for number in range(20_000):
        if here and chance.randrange(3) == 0:
            visitor, address = here.pop(chance.randrange(len(here)))
            places.leave(visitor, address)
            places.leave(visitor, address)
        else:
            address = chance.choice("abcdefgh" if number % 7 else "a")
            leaver = places.take(number, address)
            own = [visitor for visitor, of in here if of == address]
            counts = {of: sum(other == of for _, other in here) for _, of in here}
            if len(own) >= 6:
                assert leaver == own[0]
            elif len(here) >= 20:
                [of] = [of for visitor, of in here if visitor == leaver]
                assert counts[of] == max(counts.values())
                assert leaver == min(visitor for visitor, other in here if other == of)
            else:
                assert leaver is None
            here.append((number, address))
            if leaver is not None:
                [gone] = [each for each in here if each[0] == leaver]
                here.remove(gone)
                places.leave(*gone)
        assert places.taken == len(here) <= 20
        assert sorted(places.all()) == sorted(visitor for visitor, _ in here)
