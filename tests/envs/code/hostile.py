# ruff: noqa: E501
"""Code that tries to get out of its worker. Each prints ``escaped`` where it succeeds; none would harm the machine if it did.

Run as a program it tries every case against a bare worker and prints what came back as JSON: the test does that as another
user. So it imports the standard library and the sandbox only.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

from icd_envs.errors import SandboxError
from icd_envs.workspace import sandbox
from icd_envs.workspace.sandbox import Containment, Limits, Worker, containment

LIMITS = Limits(seconds=0.3, memory_bytes=256 << 20, cpu_seconds=30)

CONTAINED = {
    "fork": "import os\nfor _ in range(20):\n    try:\n        if os.fork() == 0: os._exit(0)\n        print('escaped')\n    except OSError: pass",
    "fork_in_c": "import ctypes\nlibc = ctypes.CDLL(None)\npid = libc.fork()\nif pid == 0: libc._exit(0)\nif pid > 0: print('escaped')",
    "subprocess": "import subprocess\nsubprocess.run(['/bin/true'])\nprint('escaped')",
    "shell": "import os\nif os.system('true') == 0: print('escaped')",
    "exec": "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', ''])",
    "threads": "import threading, time\nfor _ in range(2000): threading.Thread(target=time.sleep, args=(0.2,)).start()\nprint('escaped')",
    "memory": "x = bytearray(1 << 30)\nprint('escaped')",
    "memory_bit_by_bit": "x = []\nfor _ in range(1024): x.append(bytearray(1 << 20))\nprint('escaped')",
    "memory_in_c": "import mmap\nmmap.mmap(-1, 1 << 30)\nprint('escaped')",
    "shared_memory": "import ctypes\nif ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0: print('escaped')",
    "more_memory_please": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\nprint('escaped')",
    "recursion": "def f(): return f()\nf()\nprint('escaped')",
    "endless": "while True: pass",
    "endless_swallowing": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "endless_deaf": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    "endless_in_c": "import itertools\nmax(itertools.repeat(0))",
    "sleep": "import time\ntime.sleep(60)",
    "output": "while True: print('x' * 10_000)",
    "environment": "import os\nif any('SECRET' in name for name in os.environ): print('escaped')",
    "socket": "import socket\nsocket.socket()\nprint('escaped')",
    "socket_pair": "import socket\nsocket.socketpair()\nprint('escaped')",
    "connect": "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=0.1)\nprint('escaped')",
    "write": "open({target!r}, 'w')\nprint('escaped')",
    "append": "open({target!r}, 'a').write('x')\nprint('escaped')",
    "make_folder": "import os\nos.mkdir({target!r} + '.d')\nprint('escaped')",
    "remove": "import os\nos.remove({target!r})\nprint('escaped')",
    "rename": "import os\nos.rename({target!r}, {target!r} + '.x')\nprint('escaped')",
    "chmod": "import os\nos.chmod({target!r}, 0o777)\nprint('escaped')",
    "truncate": "import os\nos.truncate({target!r}, 0)\nprint('escaped')",
    "signal_parent": "import os\nos.kill(os.getppid(), 0)\nprint('escaped')",
    "signal_parent_in_c": "import ctypes, os\nif ctypes.CDLL(None).kill(os.getppid(), 0) == 0: print('escaped')",
    "limit_parent": "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)\nprint('escaped')",
    "trace_parent": "import ctypes, os\nif ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0: print('escaped')",
    "namespaces": "import ctypes\nif ctypes.CDLL(None).unshare(0x10000000) == 0: print('escaped')",
    "become_root": "import os\nif os.getuid(): os.setuid(0); print('escaped')\nelse: os.chown({target!r}, 1, 1); print('escaped')",
    "exit": "import sys\nsys.exit(0)",
    "exit_at_once": "import os\nos._exit(0)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "close_everything": "import os\nos.closerange(0, 64)",
    "babble": "import os\nfor fd in range(3, 10):\n    try: os.write(fd, b'x' * 100)\n    except OSError: pass",
    "forge": (
        'import os\nbody = b\'{"kind": "call", "app": 1, "api": [], "arguments": 3}\'\n'
        "for fd in range(3, 10):\n    try: os.write(fd, len(body).to_bytes(4, 'big') + body)\n    except OSError: pass"
    ),
    "break_json": "import json\njson.dumps = json.loads = None",
    "break_print": "import builtins\nbuiltins.print = builtins.len = builtins.isinstance = None",
}
"""Contained wherever the kernel filters system calls, with and without bwrap. ``{target!r}`` is a file of the test."""

SHUT_OUT = {
    "read_etc": "print(open('/etc/passwd').read(), 'escaped')",
    "read_target": "print(open({target!r}).read(), 'escaped')",
    "read_evaluator": "print(open({evaluator!r}).read(), 'escaped')",
    "import_evaluator": "import sys\nsys.path.append({path!r})\nimport icd_envs.workspace.evaluation\nprint('escaped')",
    "parents_environment": "import os\nopen(f'/proc/{{os.getppid()}}/environ').read()\nprint('escaped')",
    "parents_memory": "import os\nopen(f'/proc/{{os.getppid()}}/mem', 'rb')\nprint('escaped')",
    "other_processes": "import os\nif len([p for p in os.listdir('/proc') if p.isdigit()]) > 3: print('escaped')",
}
"""Contained by bwrap only."""


def fill(code: str, target: str) -> str:
    """Return the code with the names of the files that it goes for.

    An error quotes the line of code, so what success prints is not how it is written.
    """
    code = code.replace("'escaped'", "'esc' 'aped'")
    if "{" not in code or "b'{" in code:
        return code
    here = sandbox.__file__
    return code.format(
        target=target, evaluator=here.replace("sandbox.py", "evaluation.py"), path=here.split("/icd_envs/")[0]
    )


def attempt(shut_in: Containment, code: str) -> str:
    """Return what the code printed in a worker of its own, or how that ended."""
    worker = Worker(shut_in, LIMITS)
    try:
        worker.start({"date": "2026-01-01", "apis": {}})
        deadline = time.monotonic() + 3 * LIMITS.seconds
        worker.send({"kind": "execute", "id": 1, "code": code, "seconds": LIMITS.seconds}, 1)
        return str(json.loads(worker.receive(deadline)).get("text"))
    except (SandboxError, ValueError) as error:
        return f"stopped: {error}"
    finally:
        worker.kill()


def _main() -> None:
    kind, target = sys.argv[1:]
    shut_in = containment()
    if kind == "limits":
        shut_in = replace(shut_in, kind="limits", command=())
    cases = CONTAINED | (SHUT_OUT if shut_in.secure else {})
    outputs = {name: attempt(shut_in, fill(code, target)) for name, code in cases.items()}
    print(json.dumps({"kind": shut_in.kind, "outputs": outputs}))


if __name__ == "__main__":
    _main()
