"""The SMS catcher: speaks Twilio's API and shows every text on a page that looks like the telephone it never reached.

Run it with `python -m workers.catchers.sms --port 8026 --folder sms`. Port 0 takes a free one; the one line of JSON
on standard output says which: `sms_url`, both the API's address and the page's.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from activities.channels.segments import segments
from journeys.errors import WaymarkError
from workers.catchers.provider import Provider
from workers.catchers.serving import (
    address,
    application,
    json_body,
    listener,
    page,
    port_of,
    run_as_process,
    serving,
    unless_unchanged,
)
from workers.catchers.texts import Text, Texts
from workers.child import announce, until_told_to_stop

ACCOUNT = "ACwaymarklocal"
TOKEN = "local"  # noqa: S105 (it opens nothing but this catcher)


def routes(provider: Provider) -> list[BaseRoute]:
    """Twilio's API, the page, and what tests and demos need."""
    outbox = Outbox(provider)
    account = "/2010-04-01/Accounts/{account}"
    return [
        Route(f"{account}/Messages.json", provider.create, methods=["POST"]),
        Route(f"{account}/Messages/{{message}}.json", provider.fetch),
        Route(f"{account}.json", provider.account),
        Route("/", outbox.index),
        Route("/api/messages", outbox.listing, methods=["GET"]),
        Route("/api/messages", outbox.clear, methods=["DELETE"]),
        Route("/api/replies", outbox.reply, methods=["POST"]),
        Route("/api/faults", outbox.show_faults, methods=["GET"]),
        Route("/api/faults", outbox.set_faults, methods=["POST", "PUT"]),
        Route("/api/faults", outbox.end_faults, methods=["DELETE"]),
    ]


class Outbox:
    """The page and its JSON."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._texts = provider.texts

    async def index(self, request: Request) -> Response:
        wanted, number = request.query_params.get("with", ""), request.query_params.get("number", "").strip()

        def make() -> Response:
            conversations = self._texts.conversations(number=number)
            chosen = wanted or (conversations[0].number if conversations else "")
            texts = [(text, segments(text.body).count) for text in self._texts.conversation(chosen).texts]
            return page(
                "phone.html", conversations=conversations, chosen=chosen, texts=texts, number=number,
                total=len(self._texts.texts), opted_out=chosen in self._texts.opted_out,
            )  # fmt: skip

        return unless_unchanged(request, f"{self._texts.changes}-{len(self._texts.texts)}", make)

    async def listing(self, request: Request) -> Response:
        query = request.query_params
        to, limit = query.get("to", ""), query.get("limit", "50")
        if not limit.isdigit():
            raise HTTPException(422, "limit must be a whole number")
        found = [text for text in reversed(self._texts.texts.values()) if to in text.to]
        if after := query.get("after"):
            sids = [text.sid for text in found]
            found = found[: sids.index(after)] if after in sids else found
        return JSONResponse({"messages": [_described(text) for text in found[: int(limit)]], "matching": len(found)})

    async def clear(self, request: Request) -> Response:
        return JSONResponse({"deleted": self._texts.clear()})

    async def reply(self, request: Request) -> Response:
        asked = await json_body(request)
        names = {"from", "body", "to", "url"}
        if not isinstance(asked, dict) or not all(isinstance(asked.get(name, ""), str) for name in names):
            raise WaymarkError("A reply is {from, body}, and may have `to` and `url`")
        sender, body = asked.get("from", ""), asked.get("body", "")
        text = await self._provider.reply(sender, body, asked.get("to", ""), asked.get("url", ""))
        return JSONResponse(_described(text), 201)

    async def show_faults(self, request: Request) -> Response:
        return JSONResponse(self._provider.faults.asked)

    async def set_faults(self, request: Request) -> Response:
        self._provider.faults.set(await json_body(request))
        return JSONResponse(self._provider.faults.asked)

    async def end_faults(self, request: Request) -> Response:
        self._provider.faults.set({})
        return JSONResponse({})


def _described(text: Text) -> dict[str, object]:
    described = asdict(text)
    described["from"] = described.pop("sender")
    return {**described, "segments": segments(text.body).count}


async def run(
    *,
    port: int,
    folder: Path | None = None,
    account_sid: str = ACCOUNT,
    auth_token: str = TOKEN,
    reply_url: str | None = None,
    host: str = "127.0.0.1",
) -> None:
    """Catch texts until told to stop. Raises `WaymarkError` when the port is in use."""
    bound = listener(host, port)
    provider = Provider(Texts(folder), account_sid, auth_token, reply_url)
    async with serving(application(routes(provider), host), bound):
        await until_told_to_stop(lambda: announce(sms_url=address("http", host, port_of(bound))))
        await provider.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.catchers.sms", description="Catch texts on this machine.")
    parser.add_argument("--port", type=int, default=8026)
    parser.add_argument("--folder", type=Path, help="keeps the texts; without it they end with the process")
    parser.add_argument("--account-sid", default=ACCOUNT)
    parser.add_argument("--auth-token", default=TOKEN)
    parser.add_argument("--reply-url", help="where texts of customers are posted, as Twilio does")
    parser.add_argument("--host", default="127.0.0.1")
    run_as_process(parser, run)


if __name__ == "__main__":
    main()
