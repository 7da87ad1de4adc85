"""Servers that were started apart from Waymark, each a process of its own, and commands that know only their
addresses, from the environment."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.catchers import MailCatcher, SmsCatcher, catcher
from tests.end_to_end.conftest import ROOT, clean_environment
from tests.patience import PATIENCE, eventually
from tests.ports import quiet_ports
from tests.terminal import command
from workers.catching import ACCOUNT, SENDER, TOKEN
from workers.server.binary import find_binary
from workers.server.devserver import DevServer
from workers.server.postgres import EmbeddedPostgres

NAMESPACE = "far-away"
COMMAND = [sys.executable, "-m", "workers"]


@dataclass
class Role:
    """A command that runs until it is stopped: `waymark worker`, `waymark console`."""

    process: subprocess.Popen[str]
    output: Path

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def family(self) -> list[psutil.Process]:
        """The process and all below it."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@dataclass(frozen=True)
class Apart:
    """The servers, and the environment that names them."""

    home: Path
    database: EmbeddedPostgres
    temporal: DevServer
    mails: MailCatcher
    texts: SmsCatcher
    environment: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return command(*arguments, environment=self.environment | environment)

    def waymark(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"{arguments} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran

    def document(self, *arguments: str) -> Any:
        """The one JSON document that a command prints."""
        return json.loads(self.waymark(*arguments, "--json").stdout)

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints as JSON lines."""
        return [json.loads(line) for line in self.waymark(*arguments, "--json").stdout.splitlines()]

    def bring(self, *names: str, **columns: str) -> None:
        """Import contacts who may be written to, with further columns that are the same for all."""
        head = ("external_id", "first_name", "email", "email_consent", *columns)
        rows = [(name, name.title(), f"{name}@far.example", "yes", *columns.values()) for name in names]
        path = self.home.parent / f"{names[0]}.csv"
        path.write_text("\n".join(",".join(row) for row in (head, *rows)) + "\n")
        self.waymark("import", str(path))

    def mails_to(self, name: str) -> list[dict[str, Any]]:
        """What somebody received, oldest first."""
        return self.mails.messages(to=f"{name}@far.example")[::-1]

    @contextmanager
    def role(self, *arguments: str, until: str) -> Iterator[Role]:
        """Run a command that stays, from when it has printed `until`; it is stopped at the end."""
        output = self.home.parent / f"{arguments[0]}.out"
        with output.open("w") as file:
            process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True, text=True,
            )  # fmt: skip
        role = Role(process, output)
        try:
            eventually(lambda: until in role.said or process.poll() is not None)
            assert process.poll() is None, role.said
            yield role
        finally:
            role.stop()


@asynccontextmanager
async def apart(folder: Path, **maps: str) -> AsyncIterator[Apart]:
    """A PostgreSQL, a Temporal server whose namespace knows nothing of Waymark, catchers of mail and texts; and a
    folder of definitions that holds these maps."""
    definitions = folder / "definitions"
    (definitions / "journeys").mkdir(parents=True)
    for name, text in maps.items():
        (definitions / "journeys" / f"{name}.yaml").write_text(text)
    for name in ("fields.yaml", "handoff.yaml"):
        shutil.copy(ROOT / "definitions" / name, definitions)
    [port] = quiet_ports(1)
    # Apart from pytest's own folders, whose rights change when another run of pytest begins on the same machine.
    place = Path(tempfile.mkdtemp(prefix="waymark-apart-"))
    database = EmbeddedPostgres(place, durable=False)
    # The same port at every start, and a file: the server can go away and come back as itself.
    temporal = DevServer(
        await find_binary(), port=port, strict=True, ui=False, namespace=NAMESPACE, database=folder / "temporal.sqlite"
    )
    mailbox = folder / "mail"
    with (
        catcher("mail", "--smtp-port=0", "--http-port=0", f"--folder={mailbox}") as (relay, mail),
        catcher("sms", "--port=0") as (_, sms),
    ):
        url = database.start()
        try:
            async with temporal:
                environment = clean_environment(
                    WAYMARK_HOME=str(folder / "home"),
                    WAYMARK_DEFINITIONS=str(definitions),
                    WAYMARK_DATABASE_URL=url,
                    TEMPORAL_ADDRESS=temporal.address,
                    TEMPORAL_NAMESPACE=NAMESPACE,
                    WAYMARK_SMTP_URL=mail["smtp_url"],
                    WAYMARK_TWILIO_ACCOUNT_SID=ACCOUNT,
                    WAYMARK_TWILIO_AUTH_TOKEN=TOKEN,
                    WAYMARK_TWILIO_BASE_URL=sms["sms_url"],
                    WAYMARK_TWILIO_FROM=SENDER,
                    WAYMARK_SECRET="the same on every machine",
                )
                environment["WAYMARK_CONSOLE_URL"] = f"http://127.0.0.1:{environment['WAYMARK_CONSOLE_PORT']}"
                yield Apart(
                    folder / "home", database, temporal, MailCatcher(mail["smtp_url"], mail["inbox_url"], relay),
                    SmsCatcher(sms["sms_url"]), environment,
                )  # fmt: skip
        finally:
            database.stop()
            shutil.rmtree(place)
