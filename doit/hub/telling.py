"""What `doit publish` says, for a terminal: readable at 80 columns and when piped."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from doit.hub.answers import PublishAnswer
from doit.inspecting.visible import visible

_MOST = 60
"""Files that are listed; `--json` and a dry run have all."""


def publish_table(answer: PublishAnswer) -> RenderableType:
    """The outcome, the files, the checks and the licence; in a dry run the card too."""
    parts: list[RenderableType] = [_heading(_title(answer)), _note(_where(answer)), _files(answer)]
    parts += [_heading("Checks"), *(_check(check.name, check.ok, check.detail) for check in answer.checks)]
    parts += [_heading(f"Licence of the whole: {answer.licensing.effective}")]
    parts += [_note(f"  {visible(line, 2000)}") for line in (*answer.licensing.reasons, *answer.licensing.asks)]
    if answer.dry_run:
        parts += [_heading("README.md"), Text("\n".join(visible(line, 2000) for line in answer.card.split("\n")))]
    return Group(*parts)


def _title(answer: PublishAnswer) -> str:
    if answer.dry_run:
        return f"Would be published as {answer.repo}" if answer.ok else f"Would not be published as {answer.repo}"
    return f"Published as {answer.repo}" if answer.committed else f"{answer.repo} has it already: no new commit"


def _where(answer: PublishAnswer) -> str:
    seen = "private" if answer.private else "public"
    lines = [f"a {answer.kind}, {seen} where it is new, branch {answer.revision}", f"tag {answer.tag}"]
    if answer.url:
        lines.append(visible(answer.url, 2000))
    if answer.commit:
        lines.append(f"commit {answer.commit}: {len(answer.changed):,} files sent, {len(answer.deleted):,} taken away")
    return "\n".join(lines)


def _files(answer: PublishAnswer) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right")
    most = len(answer.files) if answer.dry_run else _MOST
    for file in answer.files[:most]:
        table.add_row(Text(visible(file.path, 2000)), f"{file.bytes:,}")
    if len(answer.files) > most:
        table.add_row(Text(f"… and {len(answer.files) - most:,} more"), "")
    table.add_row(Text(f"{len(answer.files):,} files"), f"{sum(file.bytes for file in answer.files):,}")
    return Padding(table, (1, 0, 0, 0))


def _check(name: str, ok: bool, detail: str) -> RenderableType:
    return _note(f"  {'ok    ' if ok else 'STOPS '} {name}: {visible(detail, 4000)}")


def _heading(text: str) -> RenderableType:
    return Padding(Text(visible(text, 2000), style="bold"), (1, 0, 0, 0))


def _note(text: str) -> Text:
    return Text(text, overflow="fold")
