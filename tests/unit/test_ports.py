"""Ports that are chosen now and listened on later."""

import subprocess
import sys

from workers.server.ports import SPARE, Claims, listen, port_is_free

HERE = "127.0.0.1"


def test_two_claimants_are_never_given_the_same_port() -> None:
    with Claims(HERE) as one, Claims(HERE) as other:
        wanted = one.take()
        assert other.take(wanted) != wanted
        assert wanted not in [other.take() for _ in range(50)]


def test_another_process_claims_against_us_until_it_ends() -> None:
    program = (
        "from workers.server.ports import Claims; claims = Claims('127.0.0.1'); print(claims.take(), flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with Claims(HERE) as claims:
            assert claims.take(port) != port
        process.kill()
        process.wait()
    with Claims(HERE) as claims:
        assert claims.take(port) == port


def test_a_claim_is_no_obstacle_to_the_server_it_is_for() -> None:
    with Claims(HERE) as claims:
        port = claims.take()
        assert port in SPARE
        assert port_is_free(HERE, port)
        with listen(HERE, port):
            assert not port_is_free(HERE, port)


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with listen(HERE, 0) as listener, Claims(HERE) as claims:
        taken = listener.getsockname()[1]
        assert claims.take(taken) != taken


def test_what_is_released_can_be_claimed_again() -> None:
    with Claims(HERE) as claims:
        port = claims.take()
        claims.release()
        assert claims.take(port) == port
