"""What the workers of test_pool.py run: imported by them, not collected as tests."""

from __future__ import annotations

import os
import time
from typing import Any


def act(task: dict[str, Any]) -> Any:
    """Do as told: crash, hang, print among the answers, or answer."""
    if task["do"] == "crash":
        os.abort()
    if task["do"] == "hang":
        time.sleep(600)
    if task["do"] == "print":
        os.write(1, b"a library talks\n")
        print("and Python too")
    return {"number": task["number"], "pid": os.getpid()}
