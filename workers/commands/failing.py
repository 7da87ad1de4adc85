"""What a person at the terminal is told of an error, and the exit code."""

import traceback

from sqlalchemy.exc import DBAPIError

from journeys.errors import WaymarkError
from workers.commands.options import options
from workers.commands.terminal import err
from workers.databases import away


def report(error: BaseException) -> int:
    """Tell the person at the terminal what went wrong; returns the exit code."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if options.debug:
        traceback.print_exception(error)
    known = _known(error)
    if known is not None:
        err.print(f"waymark: {known.message}", markup=False, soft_wrap=True)
        if known.hint:
            err.print(f"  {known.hint}", markup=False, soft_wrap=True)
        return 1
    what = str(error).strip().splitlines() or [""]
    err.print(f"waymark: unexpected {type(error).__name__}: {what[0][:300]}", markup=False, soft_wrap=True)
    if not options.debug:
        err.print("  Run it again as `waymark --debug ...` for the traceback.", markup=False, soft_wrap=True)
    return 70


def _known(error: BaseException) -> WaymarkError | None:
    match error:
        case WaymarkError():
            return error
        case DBAPIError() if type(error).__name__ in {"OperationalError", "InterfaceError"}:
            return away(error)
        case PermissionError() | FileNotFoundError() | IsADirectoryError() | NotADirectoryError() if error.filename:
            return WaymarkError(f"{error.filename}: {error.strerror}", hint="Check the path and its permissions.")
    # By name: whose error this is has been imported, and need not be by those who never had to do with it.
    if (type(error).__module__, type(error).__name__) == ("temporalio.service", "RPCError"):
        return WaymarkError(
            f"Temporal refused: {getattr(error, 'message', error)}",
            hint="Check TEMPORAL_ADDRESS, or start `waymark up`.",
        )
    return None
