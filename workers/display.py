"""The start and the end of a stack at the terminal."""

import asyncio
import signal
import time

from rich.status import Status

from workers.commands.terminal import err, notice
from workers.running import Running


class Progress:
    """The start of a stack at the terminal: what runs already, line by line, and below it what is still starting."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._status = Status("Starting ...", console=err) if err.is_terminal else None

    def begin(self, part: str) -> None:
        """This part is being started."""
        self._waiting.append(part)
        self._show()

    def done(self, part: str, detail: str, seconds: float) -> None:
        """This part runs."""
        self._waiting.remove(part)
        err.print(f"[green]✓[/] {part:<11} {detail}  [dim]{seconds:.1f} s[/]", soft_wrap=True)
        self._show()

    def notice(self, line: str) -> None:
        """Something to know."""
        err.print(f"[yellow]![/] {line}", soft_wrap=True)

    def progress(self, part: str, line: str) -> None:
        """How far a part that takes long is; without a terminal, now and then."""
        if self._status is not None:
            self._status.update(line)
        elif time.monotonic() - getattr(self, "_told", 0.0) > 15:
            self._told = time.monotonic()
            notice(line)

    def stop(self) -> None:
        """No more to show."""
        if self._status is not None:
            self._status.stop()

    def _show(self) -> None:
        if self._status is None:
            return
        if self._waiting:
            self._status.update(f"Starting {', '.join(self._waiting)} ...")
            self._status.start()
        else:
            self._status.stop()


class Stopping:
    """Turns the first Ctrl-C or SIGTERM into an orderly end of the current task, whatever it is doing."""

    def __init__(self) -> None:
        self.asked = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self.asked:
            notice("Still stopping: what is being sent is finished first.")
            return
        self.asked = True
        notice("Stopping ...")
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        """Leave the signals as they were."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.remove_signal_handler(number)


def show_addresses(running: Running) -> None:
    """Where a person finds what runs."""
    pages = {
        "Inbox": running.inbox_url,
        "Text messages": running.sms_url,
        "Temporal UI": running.temporal_ui,
        "Console (API)": running.console_url,
    }
    err.print()
    for name, url in pages.items():
        if url:
            err.print(f"  {name:<14} {url}", soft_wrap=True)
    err.print("\nUp. Press Ctrl-C to stop.")
