"""A browser and a JupyterLab for tests, both this machine's own; nothing but loopback is reached."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find() -> str | None:
    """The path of a Chromium that is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return found or (str(MAC) if MAC.is_file() else None)


@functools.cache
def install() -> tuple[str | None, str]:
    """The path of a Chromium, installed from Debian's packages where there is none; or None and the reason."""
    if path := find():
        return path, ""
    if shutil.which("apt-get") is None:
        return None, "no Chromium is installed and this system has no apt-get to install one"
    # Tests run in several processes, and apt-get refuses to be run by two.
    with FileLock(Path(tempfile.gettempdir()) / f"g3an-browser-{os.geteuid()}.lock"):
        return _installed_now()


def _installed_now() -> tuple[str | None, str]:
    if path := find():
        return path, ""
    before = [] if os.geteuid() == 0 else ["sudo", "-n"]
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        try:
            command = [*before, "apt-get", "-q", *words]
            done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"no Chromium is installed and apt-get could not be run ({error})"
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:][0] if done.returncode else ""
    path = find()
    return path, "" if path else f"no Chromium is installed and apt-get could not install one ({said})"


@dataclass
class Lab:
    """A running JupyterLab."""

    url: str
    token: str

    def get(self, path: str) -> list[dict]:
        """What its API answers."""
        request = urllib.request.Request(f"{self.url}/api/{path}", headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def jupyterlab(folder: Path, settings: Path) -> Iterator[Lab]:
    """JupyterLab over ``folder``, on loopback with a token; what it stores goes to ``settings``."""
    token = secrets.token_hex(16)
    variables = dict(os.environ)
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR"):
        # JUPYTERLAB_SETTINGS_DIR and JUPYTERLAB_WORKSPACES_DIR; the other three begin with JUPYTER_.
        variables[f"JUPYTER{'' if name.startswith('LAB') else '_'}{name}"] = str(settings / name.lower())
    variables["IPYTHONDIR"] = str(settings / "ipython")
    variables["JUPYTER_PREFER_ENV_PATH"] = "1"
    config = settings / "config_dir" / "jupyter_lab_config.py"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"c.IdentityProvider.token = '{token}'\n"
        f"c.ServerApp.root_dir = {str(folder)!r}\n"
        "c.ServerApp.ip = '127.0.0.1'\nc.ServerApp.port = 0\nc.ServerApp.open_browser = False\n"
        "c.ServerApp.allow_root = True\n"
        # Nothing is asked of the internet.
        "c.LabApp.news_url = None\nc.LabApp.extension_manager = 'readonly'\n"
        "c.LabApp.check_for_updates_class = 'jupyterlab.NeverCheckForUpdate'\n"
    )
    news = settings / "lab_settings_dir" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    log = settings / "log.txt"
    with open(log, "wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab"], cwd=folder, env=variables, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        yield Lab(_address(server, log), token)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _address(server: subprocess.Popen, log: Path) -> str:
    """Where the server listens; it says so once it does."""
    for _ in range(600):
        said = log.read_text(errors="replace")
        if found := re.search(r"(http://127\.0\.0\.1:\d+)/lab\?token=", said):
            return found[1]
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(errors='replace')}")
