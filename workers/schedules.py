"""What runs by the clock, as Temporal Schedules: they run once for all workers, and live on while none is there."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from journeys.instruction import QUEUE

SWEEP = "waymark-sweep"
EVERY = timedelta(minutes=1)


async def ensure(client: Client) -> None:
    """Create the schedules, or bring those that are there to this release's form; a pause by an operator stays."""
    try:
        await client.create_schedule(SWEEP, _sweep())
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(SWEEP).update(_renewed)


def _sweep() -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "Sweep",
            id=SWEEP,
            task_queue=QUEUE,
            execution_timeout=timedelta(minutes=10),
            static_summary="Start and route what a crash left half done",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        # A sweep that takes long is not joined by another; those missed while all was down are not made up.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
        state=ScheduleState(note="Finishes what crashes left half done. Pausing it loses nothing."),
    )


def _renewed(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
    wanted = _sweep()
    present = found.description.schedule
    if present.spec.intervals == wanted.spec.intervals and present.policy == wanted.policy:
        return None
    wanted.state = present.state
    return ScheduleUpdate(schedule=wanted)
