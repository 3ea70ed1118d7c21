"""The desk's tools: what a command does to the records, and what it answers.

They let through what a policy forbids: an agent has to know better. A command that was done already changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from icd_envs.service_desk.commands import Command, parse_command
from icd_envs.service_desk.database import Database, Row
from icd_envs.service_desk.policies import POLICIES

NOTHING: Final = "Nothing happens: "
_AMOUNT = re.compile(r"\d{1,6}\.\d\d")
_PERCENT: Final = {"10 percent": Decimal("0.1")}


class Answer(NamedTuple):
    """What a tool answered."""

    text: str
    changed: bool = False
    """It wrote to the records; the text then says what was done."""


def do(command: Command, database: Database) -> Answer:
    """Do a tool command. One that is not possible changes nothing, and says why."""
    if command.verb == "read":
        policy = POLICIES.get(command.thing)
        return Answer(f"policy {command.thing}: {policy}" if policy else f"{NOTHING}there is no such policy.")
    tool = _TOOLS.get((command.verb, command.thing))
    if tool is None:
        return Answer(f"{NOTHING}there is no such command.")
    row = database.row(f"{command.thing}s", command.number)
    if row is None:
        return Answer(f"{NOTHING}there is no {command.thing} {command.number}.")
    return tool(database, command, row) or Answer(f"{NOTHING}that is not possible, or already so.")


def effect(commands: Iterable[str], database: Database) -> None:
    """Do commands that are known to be possible. Raises `ValueError` for one that changes nothing."""
    for text in commands:
        if not do(parse_command(text), database).changed:
            raise ValueError(f"the command {text!r} does nothing")


def items_of(row: Row) -> dict[str, str]:
    """Return the price of each item of an order."""
    return dict(part.rsplit(" ", 1) for part in row["items"].split(", "))


def _lookup_order(database: Database, command: Command, row: Row) -> Answer:
    parcel = (database.row("shipments", command.number) or {}).get("state", "none")
    payment = (database.row("payments", command.number) or {}).get("state", "none")
    tickets = [
        f"ticket {id} {ticket['state']}"
        for id, ticket in database.rows("tickets").items()
        if ticket.get("order") == command.number and id.isdecimal()
    ]
    fields = {
        "items": row["items"],
        "placed": row["placed"],
        "parcel": parcel,
        "payment": payment,
        "stock": row["stock"],
        "returns": row["returns"],
        "warranty": row["warranty"],
        "tickets": ", ".join(tickets) or "none",
    }
    return _shown(command, fields)


def _lookup(database: Database, command: Command, row: Row) -> Answer:
    hidden = {"birth", "customer", "replaces"}
    return _shown(command, {name: value for name, value in row.items() if name not in hidden})


def _shown(command: Command, fields: Mapping[str, str]) -> Answer:
    return Answer(
        f"{command.thing} {command.number}: "
        + "; ".join(f"{name}: {value}" for name, value in fields.items() if value)
    )


def _verify(database: Database, command: Command, row: Row) -> Answer | None:
    if not command.detail.startswith("born "):
        return None
    right = command.detail.removeprefix("born ") == row["birth"]
    verdict = "identity confirmed" if right else "the date of birth does not match"
    return Answer(f"check of customer {command.number}: {verdict}")


def _refund(database: Database, command: Command, row: Row) -> Answer | None:
    amount = _amount(command.detail, row)
    id = f"{command.number} {command.detail}"
    if amount is None or database.row("refunds", id):
        return None
    database.write("refunds", id, order=command.number, amount=f"{amount:.2f}", kind=command.detail)
    return Answer(f"refunded {amount:.2f} on order {command.number} ({command.detail})", True)


def _amount(kind: str, row: Row) -> Decimal | None:
    prices = items_of(row)
    total = sum((Decimal(price) for price in prices.values()), Decimal(row["shipping"]))
    if kind in ("full", "duplicate"):
        return total
    if kind == "shipping":
        return Decimal(row["shipping"])
    if kind in _PERCENT:
        return (total * _PERCENT[kind]).quantize(Decimal("0.01"))
    if kind.startswith("item ") and kind.removeprefix("item ") in prices:
        return Decimal(prices[kind.removeprefix("item ")])
    return Decimal(kind) if _AMOUNT.fullmatch(kind) and Decimal(kind) <= total else None


def _item_tool(table: str, name: str, words: str) -> Callable[[Database, Command, Row], Answer | None]:
    """Return a tool that makes a row about an item of an order, e.g. a replacement."""

    def use(database: Database, command: Command, row: Row) -> Answer | None:
        item = command.detail.removeprefix("item ")
        id = f"{name} {command.number} {item}"
        if item not in items_of(row) or database.row(table, id):
            return None
        database.write(table, id, order=command.number, item=item, state="new")
        return Answer(f"{words} for the {item} of order {command.number}", True)

    return use


def _ticket(name: str, words: str) -> Callable[[Database, Command, Row], Answer | None]:
    """Return a tool that makes a ticket about an order."""

    def use(database: Database, command: Command, row: Row) -> Answer | None:
        id = f"{name} {command.number}"
        if command.detail or database.row("tickets", id):
            return None
        database.write("tickets", id, order=command.number, state="open")
        return Answer(f"{words} for order {command.number}", True)

    return use


def _setter(
    field: str, value: str, words: str, before: str = ""
) -> Callable[[Database, Command, Row], Answer | None]:
    """Return a tool that sets a field of the row; an empty value: what the command's detail says after `before`."""

    def use(database: Database, command: Command, row: Row) -> Answer | None:
        told = command.detail.removeprefix(before)
        new = value or told
        if not new or bool(value) == bool(command.detail) or row.get(field) == new:
            return None
        if before and not command.detail.startswith(before):
            return None
        database.write(f"{command.thing}s", command.number, **{field: new})
        return Answer(f"{words.format(command.thing, command.number, new)}", True)

    return use


def _redirect(database: Database, command: Command, row: Row) -> Answer | None:
    address = command.detail.removeprefix("to ")
    if not address or (database.row("shipments", command.number) or {}).get("address") == address:
        return None
    database.write("shipments", command.number, address=address)
    return Answer(f"order {command.number} now goes to {address}", True)


def _reissue(database: Database, command: Command, row: Row) -> Answer | None:
    if command.detail or row["state"] == "replaced":
        return None
    database.write("cards", command.number, state="replaced")
    database.write(
        "cards", f"{command.number} new", value=row["value"], state="active", customer=row["customer"]
    )
    return Answer(f"card {command.number} was replaced by a new one with {row['value']}", True)


_Tool = Callable[[Database, Command, Row], Answer | None]
_TOOLS: Final[Mapping[tuple[str, str], _Tool]] = {
    ("lookup", "order"): _lookup_order,
    **{("lookup", thing): _lookup for thing in ("booking", "subscription", "customer", "card", "ticket")},
    ("verify", "customer"): _verify,
    ("refund", "order"): _refund,
    ("replace", "order"): _item_tool("shipments", "replacement", "ordered a replacement"),
    ("return", "order"): _item_tool("shipments", "return", "made a return"),
    ("repair", "order"): _item_tool("tickets", "repair", "opened a repair"),
    ("trace", "order"): _ticket("trace", "opened a trace"),
    ("complain", "order"): _ticket("complaint", "opened a complaint"),
    ("redirect", "order"): _redirect,
    ("rebook", "booking"): _setter("date", "", "moved {0} {1} to {2}"),
    ("cancel", "booking"): _setter("state", "cancelled", "cancelled {0} {1}"),
    ("assist", "booking"): _setter("assistance", "", "booked assistance for {0} {1}: {2}", "with "),
    ("pause", "subscription"): _setter("state", "paused", "paused {0} {1} for three months"),
    ("cancel", "subscription"): _setter("state", "cancelled", "cancelled {0} {1}"),
    ("change", "customer"): _setter("email", "", "set the email of {0} {1} to {2}", "email "),
    ("delete", "customer"): _setter("state", "deleted", "deleted the account of {0} {1}"),
    ("reissue", "card"): _reissue,
    ("escalate", "ticket"): _setter("level", "supervisor", "escalated {0} {1} to a supervisor"),
}
