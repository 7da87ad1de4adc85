"""A Chromium for the browser tests: found, or on Debian and Ubuntu installed. Run it with `python -m tools.browser`.

Looked for in this order: the path in CHROMIUM, the usual names on PATH, one that Playwright has installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGES = ("chromium", "fonts-noto-cjk")
ADVICE = "Install Chromium, or name one in the environment variable CHROMIUM."


def find() -> Path | None:
    """The Chromium to use, or None. A path in CHROMIUM that does not exist counts as none."""
    if named := os.environ.get("CHROMIUM"):
        path = shutil.which(named)
        return Path(path) if path else None
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    return _of_playwright()


def _of_playwright() -> Path | None:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return None
    try:
        with sync_playwright() as playwright:
            path = Path(playwright.chromium.executable_path)
    except Error:
        return None
    return path if path.exists() else None


def install() -> None:
    """Install Chromium and a font with Chinese characters, showing progress. Raises `CalledProcessError`."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update"), ("apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES)):
        sys.stderr.write(f"{' '.join(command)}\n")
        subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)


def main() -> int:
    """Make sure that there is one; print its path. Exit code 1 and one line of advice when there cannot be."""
    if (found := find()) is None and "CHROMIUM" not in os.environ and _may_install():
        sys.stderr.write("No Chromium here: installing one for the browser tests.\n")
        try:
            install()
        except (OSError, subprocess.CalledProcessError) as error:
            sys.stderr.write(f"Installing Chromium failed ({error}). {ADVICE}\n")
            return 1
        found = find()
    if found is None:
        named = os.environ.get("CHROMIUM")
        what = f"CHROMIUM names {named}, which is no program." if named else "There is no Chromium here."
        sys.stderr.write(f"{what} {ADVICE}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


def _may_install() -> bool:
    return shutil.which("apt-get") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    sys.exit(main())
