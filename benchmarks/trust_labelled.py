"""A labelled set of invented secrets and identities: 15 kinds, in sentences, JSON and code, as people write them.

Made without the patterns under test: values come from the rules of those who issue them (check digits computed here),
and the ordinary texts are task texts of the environments, with numbers, dates, ids and links that are none of them.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from typing import NamedTuple

LETTERS, DIGITS = string.ascii_letters, string.digits


class Labelled(NamedTuple):
    """A text, and the one value in it that must not be stored."""

    text: str
    value: str
    kind: str


def labelled_set(count: int = 500, seed: int = 0) -> list[Labelled]:
    """Return `count` texts, the kinds in turn."""
    rng = random.Random(seed)
    kinds = list(_VALUES)
    return [_text(kinds[number % len(kinds)], rng) for number in range(count)]


def _text(kind: str, rng: random.Random) -> Labelled:
    value = _VALUES[kind](rng)
    frame = rng.choice(_FRAMES.get(kind, _ANYWHERE))
    text = frame.replace("%", value)
    if rng.random() < 0.25:
        text = json.dumps({"role": "user", "content": f"Hello,\n{text}\nThanks"})
        value = json.dumps(value)[1:-1]
    return Labelled(text, value, kind)


def _some(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def _email(rng: random.Random) -> str:
    name = rng.choice(
        ["ana.lopez", "k.meyer", "o'brien".replace("'", ""), "wei_chen", "j-smith", "sam+bills"]
    )
    host = rng.choice(["example.com", "mail.example.org", "firma-nord.de", "uni.ac.uk", "start.up.io"])
    return f"{name}{rng.randrange(100)}@{host}" if rng.random() < 0.8 else f"{name}@{host}".upper()


def _phone(rng: random.Random) -> str:
    line = f"{rng.randrange(100, 1000)}{rng.randrange(1000, 10000)}"
    area = rng.choice(["212", "415", "312", "206", "617"])
    exchange = f"{rng.randrange(2, 10)}{rng.randrange(12, 99)}"
    return rng.choice(
        [
            f"({area}) {exchange}-{line[-4:]}",
            f"{area}-{exchange}-{line[-4:]}",
            f"+1 {area} {exchange} {line[-4:]}",
            f"+44 20 7946 {rng.randrange(1000, 10000)}",
            f"+49 30 {rng.randrange(200000, 999999)}",
            f"+33 6 {' '.join(f'{rng.randrange(10, 99)}' for _ in range(4))}",
            f"+91 98{rng.randrange(10**7, 10**8)}",
        ]
    )


def _luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)


def _card(rng: random.Random) -> str:
    start, length = rng.choice([("4", 16), ("53", 16), ("37", 15), ("6011", 16), ("2345", 16)])
    number = _luhn(start + _some(rng, DIGITS, length - len(start) - 1))
    if length == 15:
        return rng.choice([number, f"{number[:4]} {number[4:10]} {number[10:]}"])
    groups = [number[i : i + 4] for i in range(0, 16, 4)]
    return rng.choice([number, " ".join(groups), "-".join(groups)])


def _iban(rng: random.Random) -> str:
    country, length = rng.choice([("DE", 18), ("FR", 23), ("NL", 0), ("ES", 20), ("GB", 0), ("AT", 16)])
    if country == "NL":
        body = "ABNA" + _some(rng, DIGITS, 10)
    elif country == "GB":
        body = "NWBK" + _some(rng, DIGITS, 14)
    elif country == "ES":
        body = _spanish_account(rng)
    elif country == "FR":
        body = _french_account(rng)
    else:
        body = _some(rng, DIGITS, length)
    as_number = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    whole = f"{country}{98 - int(as_number) % 97:02d}{body}"
    return whole if rng.random() < 0.5 else " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))


def _spanish_account(rng: random.Random) -> str:
    def check(digits: str) -> str:
        found = (
            11 - sum(w * int(d) for w, d in zip((1, 2, 4, 8, 5, 10, 9, 7, 3, 6), digits, strict=True)) % 11
        )
        return {10: "1", 11: "0"}.get(found, str(found))

    bank, account = _some(rng, DIGITS, 8), _some(rng, DIGITS, 10)
    return f"{bank}{check('00' + bank)}{check(account)}{account}"


def _french_account(rng: random.Random) -> str:
    bank, branch, account = (_some(rng, DIGITS, count) for count in (5, 5, 11))
    return f"{bank}{branch}{account}{97 - (89 * int(bank) + 15 * int(branch) + 3 * int(account)) % 97:02d}"


def _ssn(rng: random.Random) -> str:
    area = rng.choice([n for n in range(1, 900) if n not in (666, 78, 219, 457)])
    return f"{area:03d}-{rng.randrange(1, 100):02d}-{rng.randrange(1, 10000):04d}"


def _ip(rng: random.Random) -> str:
    return f"{rng.choice([8, 52, 81, 93, 142, 185, 213])}.{'.'.join(str(rng.randrange(1, 255)) for _ in range(3))}"


def _birth_date(rng: random.Random) -> str:
    year, month, day = rng.randrange(1940, 2010), rng.randrange(1, 13), rng.randrange(1, 29)
    return rng.choice(
        [f"{year}-{month:02d}-{day:02d}", f"{day:02d}.{month:02d}.{year}", f"{month}/{day}/{year}",
         f"{day} March {year}", f"June {day}, {year}"]
    )  # fmt: skip


def _passport(rng: random.Random) -> str:
    return rng.choice(
        [
            _some(rng, DIGITS, 9),
            f"C{_some(rng, DIGITS, 8)}",
            f"{_some(rng, 'ABCDEF', 2)}{_some(rng, DIGITS, 7)}",
        ]
    )


def _jwt(rng: random.Random) -> str:
    alphabet = LETTERS + DIGITS + "-_"
    return f"eyJ{_some(rng, alphabet, 33)}.eyJ{_some(rng, alphabet, 60)}.{_some(rng, alphabet, 43)}"


def _private_key(rng: random.Random) -> str:
    label = rng.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
    lines = "\n".join(_some(rng, LETTERS + DIGITS + "+/", 64) for _ in range(rng.randrange(3, 9)))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----"


def _aws_key(rng: random.Random) -> str:
    return rng.choice(["AKIA", "ASIA"]) + _some(rng, string.ascii_uppercase + DIGITS, 16)


def _github(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return f"github_pat_{_some(rng, LETTERS + DIGITS, 22)}_{_some(rng, LETTERS + DIGITS, 59)}"
    return rng.choice(["ghp_", "gho_", "ghs_"]) + _some(rng, LETTERS + DIGITS, 36)


def _slack(rng: random.Random) -> str:
    numbers = f"{_some(rng, DIGITS, 12)}-{_some(rng, DIGITS, 12)}"
    return f"{rng.choice(['xoxb', 'xoxp', 'xoxa'])}-{numbers}-{_some(rng, LETTERS + DIGITS, 24)}"


def _api_key(rng: random.Random) -> str:
    alphabet = LETTERS + DIGITS
    return rng.choice(
        [
            f"sk-{_some(rng, alphabet, 48)}",
            f"sk-ant-api03-{_some(rng, alphabet + '-_', 80)}A",
            f"sk-proj-{_some(rng, alphabet, 40)}",
            f"sk_live_{_some(rng, alphabet, 24)}",
            f"AIza{_some(rng, alphabet, 35)}",
            f"hf_{_some(rng, alphabet, 34)}",
            f"glpat-{_some(rng, alphabet, 20)}",
            f"npm_{_some(rng, alphabet, 36)}",
        ]
    )


def _password(rng: random.Random) -> str:
    words = ["Sommer", "tiger", "blue", "Kaffee", "rocket", "Winter"]
    return rng.choice(
        [
            f"{rng.choice(words)}{rng.randrange(10, 9999)}!",
            f"{rng.choice(words)}-{rng.choice(words)}-{rng.randrange(100)}",
            _some(rng, LETTERS, 5) + _some(rng, DIGITS + "!#%&*_", 5) + "x",
        ]
    )


_VALUES: dict[str, Callable[[random.Random], str]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ssn": _ssn,
    "ip": _ip,
    "birth-date": _birth_date,
    "passport": _passport,
    "jwt": _jwt,
    "private-key": _private_key,
    "aws-key": _aws_key,
    "github-token": _github,
    "slack-token": _slack,
    "api-key": _api_key,
    "password": _password,
}
_ANYWHERE = (
    "Please use %.",
    "here it is: % (don't share it)",
    "%",
    "I wrote '%' on the form, could you check?",
    'send_form(value="%", retries=3)',
    "old entry: %, new entry: none",
    "- contact / %\n- open ticket 4417",
)
_FRAMES: dict[str, tuple[str, ...]] = {
    "birth-date": (
        "My date of birth is %.",
        "DOB: %",
        "She was born on % in Lyon.",
        '{"name": "Ana", "birth_date": "%"}',
        "birthday: %, vegetarian",
    ),
    "passport": (
        "My passport number is %.",
        "Passport no. %, expires soon",
        '{"passport": "%"}',
        "passport: %",
        "Check in with passport % please",
    ),
    "password": (
        "The password is %",
        "password: %",
        'login(username="ana", password="%")',
        '{"user": "ana", "password": "%"}',
        "Wifi password: %\nNetwork: guest",
        "postgresql://app:%@db.internal:5432/app",
        "pwd=%",
        "my passcode is: %",
    ),
    "api-key": (
        "export API_KEY=%",
        '{"api_key": "%"}',
        "curl -H 'Authorization: Bearer %' https://api.example.com/v1/me",
        *_ANYWHERE,
    ),
    "ip": ("The server is at %.", "ping %", "login from % at 10:42", '{"client": "%", "port": 443}'),
}
