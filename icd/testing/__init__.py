"""Stand-ins for models, for your tests and ours: none of them reaches a network or a weight file.

`ScriptedBackend` says what it is told, `DemonstrationBackend` follows the demonstrations in its prompt,
`FlakyBackend` makes another one fail by plan, and `LoopbackServer` speaks the OpenAI protocol on this
machine, with the faults of real endpoints.
"""

from icd.testing.backends import DemonstrationBackend, FlakyBackend, ScriptedBackend
from icd.testing.server import Answers, Fault, LoopbackServer, RecordedRequest

__all__ = [
    "Answers",
    "DemonstrationBackend",
    "Fault",
    "FlakyBackend",
    "LoopbackServer",
    "RecordedRequest",
    "ScriptedBackend",
]
