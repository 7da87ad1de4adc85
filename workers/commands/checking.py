"""`doctor`: looks at every part and says what is wrong and what to do."""

import typer
from rich.markup import escape

from workers.commands.shared import AsJson, run, settings
from workers.commands.terminal import out, print_lines

app = typer.Typer()

SIGNS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "wrong": "[red]✗[/]"}


@app.command("doctor")
def doctor(as_json: AsJson = False) -> None:
    """Check each part and say what is wrong; exit code 1 when something is."""
    # All parts are looked at, so all have to be imported; its help need not wait for that.
    from workers.examining import examine

    findings = run(examine(settings()))
    if as_json:
        print_lines(findings)
    else:
        for finding in findings:
            out.print(f"{SIGNS[finding.state]} {finding.part:<12} {escape(finding.detail)}", soft_wrap=True)
            if finding.hint and finding.state != "ok":
                out.print(f"  {'':<12} [dim]{escape(finding.hint)}[/]", soft_wrap=True)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
