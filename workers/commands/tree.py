"""All commands: in which module each is, and what it is for in a line short enough for a list."""

from collections.abc import Mapping

from typer.core import TyperGroup

from workers.commands.later import Later, group

COMMANDS: Mapping[str, Later | TyperGroup] = {
    "demo": Later("demo", "running", "Show the main job: 45 days in a minute or two."),
    "up": Later("up", "running", "Start everything needed for local work, until Ctrl-C."),
    "worker": Later("worker", "running", "Run worker processes, until Ctrl-C or SIGTERM."),
    "console": Later("console", "running", "Serve the HTTP API, links in messages, callbacks."),
    "migrate": Later("migrate", "setup", "Bring the database to this release."),
    "init": Later("init", "laying_out", "Lay out a workspace: definitions and templates to edit."),
    "doctor": Later("doctor", "checking", "Check each part and say what is wrong."),
    "rehearse": Later("rehearse", "rehearsing", "Rehearse journeys: days in seconds, and nothing leaves."),
    "replay": Later("replay", "replaying", "Replay histories with the installed workflow."),
    "import": Later("import", "importing", "Import customers from a CSV file."),
    "customers": group(
        "customers",
        "The people, and what happened to each.",
        {
            "list": ("customers", "List customers."),
            "search": ("customers", "Find customers by what somebody remembers."),
            "show": ("customers", "Show one customer and what happened."),
            "merge": ("merging", "Make one customer of two."),
            "unmerge": ("merging", "Undo a merge: both customers as they were."),
            "duplicates": ("duplicates", "Propose pairs who may be one person."),
            "export": ("exporting", "Print every customer with all that is known."),
        },
    ),
    "events": group(
        "events",
        "Events of customers.",
        {
            "import": ("event_importing", "Import events from a CSV file."),
            "send": ("events", "Send an event of one customer."),
        },
    ),
    "enrol": Later("enrol", "enrolling", "Enter customers into a journey."),
    "journeys": group(
        "journeys",
        "The journey maps, from file to published version.",
        {
            "validate": ("maps", "Check maps and messages, without publishing."),
            "publish": ("publishing", "Publish maps and say what that changes."),
            "list": ("journeys", "List published journeys with their figures."),
            "show": ("journeys", "Show a published version as it was written."),
            "entries": ("entries", "Show by which ways a journey lets contacts in."),
            "draw": ("drawing", "Draw a map: in the terminal, or as a picture."),
            "migrate": ("versions", "Move runs from one version to another."),
            "archive": ("versions", "Let nobody in any more; runs go on to their end."),
            "unpublish": ("versions", "Make the version before live again."),
        },
    ),
    "segments": group(
        "segments",
        "Segments: customers who belong together, and who they are now.",
        {
            "list": ("segments", "List the segments in force."),
            "publish": ("segments", "Bring the segments of the files into force."),
            "preview": ("segments", "Show who would be in a segment now."),
            "evaluate": ("segments", "Work out now who belongs to segments."),
            "members": ("segments", "List the members of a segment."),
        },
    ),
    "broadcasts": group(
        "broadcasts",
        "Broadcasts: one message to a segment, each contact once.",
        {
            "list": ("broadcasts", "List broadcasts, the newest first."),
            "preview": ("broadcasts", "Show who would get it, and how it looks."),
            "test": ("broadcasts", "Send it to one address, every wording once."),
            "start": ("broadcasts", "Start a broadcast. It goes once under its name."),
            "pause": ("broadcasts", "Send nothing more until it is resumed."),
            "resume": ("broadcasts", "Resume from exactly where it stands."),
            "cancel": ("broadcasts", "End a broadcast: nobody else gets it."),
            "winner": ("broadcasts", "Pick the winner of a trial."),
            "show": ("broadcasts", "Show how a broadcast stands."),
        },
    ),
    "report": group(
        "report",
        "What came of it, in figures.",
        {
            "goals": ("reporting", "What each message did for its journey's goal."),
            "forecast": ("selling", "What the deals under way are worth, by month."),
            "sales-day": ("selling", "What a day brought in sales, and what is late."),
            "rfm": ("worth", "Recency, frequency and money of everybody."),
            "lifecycle": ("worth", "How many are in each stage of the lifecycle."),
        },
    ),
    "scores": group(
        "scores",
        "Scores: what they are made of, and the rules behind them.",
        {
            "explain": ("scores", "Show what makes up a customer's score."),
            "rescore": ("scores", "Bring the rules into force and score everybody."),
        },
    ),
    "pause": Later("pause", "holding", "Hold a journey, a customer, a channel, or everything."),
    "resume": Later("resume", "holding", "Let go on what was paused or stopped."),
    "stop": Later("stop", "holding", "End what is under way, or send nothing on a channel."),
    "holds": Later("holds", "holding", "List what is paused or stopped."),
    "runs": group(
        "runs",
        "Customers on their way through journeys.",
        {
            "list": ("runs", "List runs."),
            "show": ("runs", "Show one run: where it stands and why."),
            "explain": ("explaining", "Explain one run, step by step."),
            "resolve": ("steering", "Settle a message that may or may not have gone."),
            "skip": ("steering", "Skip the step at which a run stands."),
            "move": ("steering", "Move a run to another step of its map."),
            "exit": ("steering", "End a run now; nothing more is sent."),
            "retry": ("steering", "Try a message again now that was put off."),
        },
    ),
    "tasks": group(
        "tasks",
        "What sales has to do.",
        {
            "list": ("tasks", "List tasks, the most urgent first."),
            "show": ("tasks", "Show one task, and what became of it."),
            "claim": ("desk", "Take a task; of two who try, one gets it."),
            "snooze": ("desk", "Let a task rest."),
            "reassign": ("desk", "Give a task to somebody else."),
            "update": ("desk", "Work on the deal: stage, amount, close."),
            "done": ("desk", "Finish a task with its outcome."),
        },
    ),
}
