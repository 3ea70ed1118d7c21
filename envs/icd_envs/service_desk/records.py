"""Making the records of a case: a customer with an order, a booking, ..., among other customers with theirs."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from icd_envs.service_desk.database import TABLES

ITEMS: Final = (
    "lamp", "rug", "kettle", "backpack", "headphones", "blanket", "toaster", "tent", "keyboard", "umbrella", "clock",
    "blender", "scarf", "radio", "camera", "pillow",
)  # fmt: skip
_NAMES: Final = (
    "ada brook", "ben okafor", "carla ruiz", "dan weber", "eva lind", "femi adeyemi", "gita rao", "hugo marin",
    "ines costa", "jon hale", "kira novak", "leo tanaka",
)  # fmt: skip
_ROADS: Final = ("mill lane", "station road", "high street", "park row", "harbour road", "church lane")
_TRIPS: Final = ("lisbon", "vienna", "oslo", "porto", "krakow", "dublin")
_PLANS: Final = ("music", "films", "news", "fitness")
_OTHERS: Final = 2


@dataclass(frozen=True, slots=True)
class Records:
    """Tables to adjust to a case, and the numbers of what belongs to its customer."""

    tables: dict[str, dict[str, dict[str, str]]]
    customer: str
    order: str
    booking: str
    subscription: str
    card: str
    items: tuple[str, str]

    def set(self, table: str, id: str, **fields: str) -> None:
        """Adjust a row."""
        self.tables[table].setdefault(id, {}).update(fields)

    def get(self, table: str, id: str, field: str) -> str:
        """Return a field."""
        return self.tables[table][id][field]


def make_records(rng: Random) -> Records:
    """Make the records of one case."""
    tables: dict[str, dict[str, dict[str, str]]] = {name: {} for name in TABLES}
    owned = [_add_customer(rng, tables) for _ in range(_OTHERS + 1)]
    return owned[0]


def date(rng: Random, first: int = 2026, last: int = 2026) -> str:
    """Return some day of these years."""
    return f"{rng.randint(first, last)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def address(rng: Random) -> str:
    """Return some address."""
    return f"{rng.randint(1, 99)} {rng.choice(_ROADS)}"


def _number(rng: Random, taken: dict[str, dict[str, str]], low: int, high: int) -> str:
    while (number := str(rng.randrange(low, high))) in taken:
        pass
    return number


def _add_customer(rng: Random, tables: dict[str, dict[str, dict[str, str]]]) -> Records:
    customer = _number(rng, tables["customers"], 10, 99)
    order = _number(rng, tables["orders"], 1000, 1999)
    booking = _number(rng, tables["bookings"], 200, 399)
    subscription = _number(rng, tables["subscriptions"], 500, 699)
    card = _number(rng, tables["cards"], 7000, 7999)
    name = rng.choice(
        [name for name in _NAMES if name not in {r["name"] for r in tables["customers"].values()}]
    )
    first, second = rng.sample(ITEMS, 2)
    prices = [f"{rng.randint(12, 120)}.{rng.choice(('00', '50', '90'))}" for _ in range(2)]
    tables["customers"][customer] = {
        "name": name,
        "birth": date(rng, 1950, 2004),
        "email": f"{name.split()[0]}@post.example",
        "open orders": "none",
        "state": "active",
    }
    tables["orders"][order] = {
        "customer": customer,
        "items": f"{first} {prices[0]}, {second} {prices[1]}",
        "shipping": rng.choice(("3.95", "4.95", "5.95")),
        "placed": f"{rng.randint(15, 28)} days ago",
        "stock": f"{first} yes, {second} yes",
        "returns": "window open",
        "warranty": "valid",
    }
    tables["shipments"][order] = {"state": "delivered", "address": address(rng)}
    tables["payments"][order] = {"state": "charged once"}
    tables["bookings"][booking] = {
        "customer": customer,
        "trip": f"to {rng.choice(_TRIPS)}",
        "date": date(rng),
        "fare": "flexible",
        "state": "booked",
    }
    tables["subscriptions"][subscription] = {
        "customer": customer,
        "plan": rng.choice(_PLANS),
        "state": "active",
    }
    tables["cards"][card] = {
        "customer": customer,
        "value": f"{rng.choice((20, 25, 50, 75))}.00",
        "state": "active",
    }
    return Records(tables, customer, order, booking, subscription, card, (first, second))
