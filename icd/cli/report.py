"""stub"""


def report() -> int:
    """Stub."""
    return 0
