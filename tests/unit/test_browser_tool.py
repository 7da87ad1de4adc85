"""Finding a browser for the browser tests."""

import shutil
import sys
from pathlib import Path

import pytest

from tools import browser


def test_the_browser_that_the_environment_names_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", sys.executable)
    assert browser.find() == Path(sys.executable)


def test_a_named_browser_that_is_not_there_is_one_line_of_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    assert browser.main() == 1
    said = capsys.readouterr().err
    assert said == f"CHROMIUM names /nowhere/chromium, which is no program. {browser.ADVICE}\n"


def test_the_usual_names_are_looked_for_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "google-chrome"
    shutil.copy(sys.executable, program)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find() == program
