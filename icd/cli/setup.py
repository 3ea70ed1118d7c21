"""stub"""


def init() -> None:
    "x"


def doctor() -> None:
    "x"
