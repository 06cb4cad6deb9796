"""Seats for clients, without any client."""

from conftest import ToldClock

from exporter.seats import MOMENT_SECONDS, Seat, Seats


def house(clock: ToldClock, most: int = 2, most_bytes: int = 100) -> tuple[Seats, list[Seat], list[int]]:
    """Return seats, three clients, and the numbers of those that were shown out."""
    gone: list[int] = []
    clients = [Seat(lambda number=number: gone.append(number)) for number in range(3)]  # type: ignore[misc]
    return Seats(most, most_bytes, clock.monotonic), clients, gone


def test_the_longest_waiting_makes_room(told_clock: ToldClock) -> None:
    """Who has been worked for since is waited for anew."""
    seats, clients, gone = house(told_clock)
    for client in clients[:2]:
        seats.take(client)
    seats.work(clients[0])
    seats.wait(clients[0])
    seats.take(clients[2])
    assert (gone, len(seats)) == ([1], 2)


def test_nobody_makes_room_while_all_are_worked_for(told_clock: ToldClock) -> None:
    """However long that takes."""
    seats, clients, gone = house(told_clock)
    for client in clients[:2]:
        seats.take(client)
        seats.work(client)
    told_clock.now += MOMENT_SECONDS
    assert (seats.are_firm, seats.show_one_out(), gone) == (True, False, [])


def test_everybody_has_his_moment(told_clock: ToldClock) -> None:
    """Until it is over, the next has to wait outside."""
    seats, clients, _ = house(told_clock)
    seats.take(clients[0])
    fresh = [seats.are_firm]
    seats.take(clients[1])
    fresh.append(seats.are_firm)
    told_clock.now += MOMENT_SECONDS
    fresh.append(seats.are_firm)
    assert fresh == [False, True, False]


def test_too_many_bytes_cost_the_longest_waiting_that_has_some(told_clock: ToldClock) -> None:
    """Not who has none, not who is worked for, and not who has just got more."""
    seats, clients, gone = house(told_clock, most=3)
    for client in clients:
        seats.take(client)
    seats.hold(clients[1], 60)
    seats.hold(clients[2], 90)
    assert gone == [1]
    seats.hold(clients[2], 200)
    assert (gone, len(seats)) == ([1], 2)


def test_bytes_are_given_back(told_clock: ToldClock) -> None:
    """With the seat, or when they are sent."""
    seats, clients, gone = house(told_clock, most=3)
    for client in clients:
        seats.take(client)
        seats.hold(client, 90)
        seats.hold(client, 0)
    seats.hold(clients[0], 90)
    seats.give_back(clients[0])
    seats.give_back(clients[0])
    seats.hold(clients[0], 1000)
    seats.hold(clients[1], 90)
    assert (gone, len(seats)) == ([], 2)


def test_bytes_that_clients_share_count_once(told_clock: ToldClock) -> None:
    """A page for three is kept once; another page is not; the last who goes gives it back."""
    seats, clients, gone = house(told_clock, most=3)
    page, other = bytes(90), bytes(91)
    for client in clients:
        seats.take(client)
        seats.hold(client, page)
    assert gone == []
    seats.give_back(clients[0])
    seats.hold(clients[1], 10)
    assert gone == []
    seats.hold(clients[1], 11)
    assert (gone, len(seats)) == ([2], 1)
    seats.hold(clients[1], other)
    seats.hold(clients[1], 100)
    assert (gone, len(seats)) == ([2], 1)
