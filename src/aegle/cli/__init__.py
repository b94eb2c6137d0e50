"""The ``aegle`` command. Holds no clinical logic; every command is one call of the API.

Exit status: 0 done, 1 failed (the message says why), 2 bad usage. Progress goes to the error
stream, results to the output stream.
"""

import sys

import typer

import aegle
from aegle.cli import cases, models, plans, responses, rules, suggestions
from aegle.cli.console import errors
from aegle.domain.errors import AegleError, OptionError

app = typer.Typer(
    name="aegle",
    help=f"From a patient's images to a decision and back.\n\n{aegle.RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (
    cases.demo,
    cases.run,
    cases.follow,
    plans.plan,
    models.train,
    models.evaluate,
    models.predict,
    models.explain,
):
    app.command()(command)
app.command()(plans.compare)
app.command()(plans.adapt)
app.command()(rules.rule)
app.command()(suggestions.suggest)
app.command()(responses.respond)
app.command()(models.fuse)
app.command("options")(cases.list_options)
app.command()(cases.doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        app(args=arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    except OptionError as error:
        errors.print(f"aegle: {error}", markup=False)
        return 2
    except AegleError as error:
        errors.print(f"aegle: {error}", markup=False)
        return 1
    except OSError as error:
        errors.print(f"aegle: {_system_words(error)}", markup=False)
        return 1
    return 0


def _system_words(error: OSError) -> str:
    """Say what the system refused; most often the disk is full or a folder was taken away."""
    where = f"{error.filename}: " if error.filename else ""
    return (
        f"{where}{error.strerror or error}. Make room or give another folder; the same command "
        "goes on where this one was."
    )


def entry() -> None:
    """Run the command line and end the process with its exit status."""
    sys.exit(main())
