"""Importing opens no connection, whatever the settings say."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append((event, args)) if event in (
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind") else None)
import icd, icd.assembly, icd.cli.app, icd.chat.runtime, icd.backends.openai_http, icd.serving.server
import icd_memory.retrieval, icd_memory.minilm, icd_envs.table
print(opened)
"""


def test_importing_opens_no_connection() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
