"""What every command is run by: flags parsed, help printed, errors of input told in a line. It loads no TensorFlow."""

import atexit
import contextlib
import errno
import os
import re
import shutil
import sys
import textwrap
import traceback

from absl import app, flags, logging

from pga_tf.core import checks, commands, errors, files, flagfiles, signals

COMMAND = re.compile(r"(\S*tools/run )?(python -m|pga-tf) |flags:")
HANGING = 20  # columns; what is indented further goes on with the line before


def run(main, *, usage, help_text=None, arguments=False):
    """Runs a command: parses flags, calls `main()`, and ends the process with what that returns.

    Bad input, and what a machine or a library lacks, is told in one line, with status 2; a polite signal ends it with
    130 and a line. A mistake in the program shows its traceback, with status 1.

    With `arguments`, what is left of the command line beside flags is passed to `main` as a list, else refused.
    """
    if any(argument in ("--helpshort", "--help", "-h", "-help") for argument in sys.argv[1:]):
        known = help_text() if help_text else "\nflags:" + flags.FLAGS.main_module_help().partition(":")[2]
        text = to_width(f"{commands.as_started(usage)}\n{known}", max(40, shutil.get_terminal_size((120, 24)).columns))
        _leave(_status(lambda: print(text)))

    def guarded(argv):
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # libraries report every file that they open as news
        if arguments:
            return main(argv[1:])
        require_flags_only(argv[1:])
        return main()

    _leave(_status(lambda: app.run(guarded, flags_parser=_parse)))


def require_flags_only(arguments, unless=""):
    """Raises `InputError` for arguments beside flags; `unless`: the flag under which a command takes some."""
    if arguments:
        remedy = f"add {unless}, or write --name=value" if unless else "write --name=value"
        checks.refuse("Command line", expected="flags only", received=arguments[0], remedy=remedy)


def _status(work):
    """The exit status of `work`, which exits with one; what else ends it is told here, in a line if it is no bug."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # files may have names that a terminal's encoding lacks
    with signals.raising() as notice:
        try:
            try:
                work()
            finally:
                signals.ignore()  # there is nothing left to stop
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int | None) else _say(ended.code, 1)
        except (checks.InputError, checks.NonFiniteError) as error:
            return _say(f"error: {error}", 2)
        except KeyboardInterrupt as stopped:
            return _stopped(notice.received or str(stopped) or "SIGINT")
        except BrokenPipeError:  # whoever read what is printed, such as head, has seen enough
            return signals.STATUS if notice.received else 0
        except Exception as error:
            if notice.received and getattr(error, "errno", 0) == errno.EIO:  # the terminal is gone, and SIGHUP came
                return signals.STATUS
            if isinstance(error, OSError) and error.errno in errors.WRITING and not error.filename:
                error.filename = "Standard output"  # whoever writes files says which
            line = errors.line(error)
            if not line and notice.received:  # in the wake of what was raised within some library
                return _stopped(notice.received)
            if not line:
                traceback.print_exc()
                return 1
            logging.info("%s", line, exc_info=True)
            return _say(f"error: {line}", 2)
    return 0


def _stopped(name):
    return _say(
        f"stopped by {name}; the same command begins again, or goes on from its last checkpoint", signals.STATUS
    )


def _say(line, status):
    with contextlib.suppress(OSError):  # a terminal that is gone
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)
    return status


def _leave(status):
    """Ends the process with what has been printed.

    Everything is closed by now, and no more is waited for: TensorFlow's threads may still decode images, which the end
    of an interpreter does not survive, and its destructors have things to say that nobody asked.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        error.filename = "Standard output"
        status = status or _say(f"error: {errors.line(error)}", 2)
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status or 0)


def to_width(text, width):
    """Help of up to 120 columns on `width` of them: prose is filled anew, what is indented keeps its column.

    A line goes on with the one before where both are prose, or where it is indented by `HANGING` columns and more.
    """
    lines = []
    for line in text.splitlines():
        prose = line and line[0] not in " -" and not COMMAND.match(line)
        if lines and (line.startswith(" " * HANGING) or (prose and lines[-1][1])):
            lines[-1][0] += " " + line.strip()
        else:
            lines.append([line, prose])
    return "\n".join(_filled(line, width) for line, _ in lines)


def _filled(line, width):
    own = len(line) - len(line.lstrip())
    column = re.match(r" +\S+(?: \S+)*?  +(?=\S)", line)  # of a table's second cell
    hanging = len(column[0]) if column and len(column[0]) < width / 2 else own + (0 if own != 2 else 4)
    options = {"subsequent_indent": " " * hanging, "break_on_hyphens": False}
    return textwrap.fill(line, width, **options) if len(line) > width else line


def _parse(argv):
    """Parses flags; an unknown flag, a bad value or a flagfile that is none exits with one line and status 2.

    `~` at the start of a value is the home folder: shells leave it alone after `=`.
    """
    try:
        rest = flags.FLAGS([argv[0], *flagfiles.expanded(argv[1:])])
    except (flags.Error, checks.InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if flags.FLAGS[name].present and isinstance(value, str | list):
            at_home = [files.home(part) if isinstance(part, str) else part for part in value]
            flags.FLAGS[name].value = files.home(value) if isinstance(value, str) else at_home
    return [rest[0], *map(files.home, rest[1:])]
