"""The commands, whoever calls them: the program, or ``flask sessions``."""

from __future__ import annotations

import importlib

import click

#: Which module has which command, and by which name.
_PLACES = {
    "check": "check:check",
    "list": "sessions:list_sessions",
    "show": "sessions:show",
    "revoke": "sessions:revoke",
    "stats": "sessions:stats",
    "migrate": "migrate:migrate",
}


class Commands(click.Group):
    """A group of these commands, each of which is imported when it is called.

    So whoever has not installed the extra ``cli`` can use the others: Flask imports
    this whenever it is asked for anything.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See :class:`click.Group`."""
        return [*super().list_commands(ctx), *_PLACES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See :class:`click.Group`."""
        if cmd_name not in _PLACES:
            return super().get_command(ctx, cmd_name)
        module, _, name = _PLACES[cmd_name].partition(":")
        try:
            found = importlib.import_module(f"{__package__}.{module}")
        except ModuleNotFoundError as error:
            return _missing(cmd_name, error)
        command: click.Command = getattr(found, name)
        return command


def _missing(name: str, error: ModuleNotFoundError) -> click.Command:
    """Stands for a command that cannot be imported; there is help for the others."""

    def fail() -> None:
        raise click.ClickException(
            f"{name} needs {error.name}: pip install 'wsgi-redis-session[cli]'"
        ) from error

    lenient = {"allow_extra_args": True, "ignore_unknown_options": True}
    return click.Command(
        name, callback=fail, help="Needs the extra cli.", context_settings=lenient
    )
