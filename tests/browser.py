"""Finding a Chromium for the browser tests, or installing one: `python -m tests.browser`.

The system's own is preferred; as root on Debian it is installed as a package; otherwise Playwright's download is tried.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing that calls home, and it must start as root and without a GPU.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """Path of a Chromium, or None: $CHROMIUM, then the system's, then Playwright's own."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], env=environment, check=False)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    if find() is None:
        install()
    path = find()
    if path is None:
        print("=" * 88)
        print("NO CHROMIUM: the browser tests will be LEFT OUT. Install one, or name it in $CHROMIUM.")
        print("=" * 88)
    else:
        print(f"Browser tests use {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
