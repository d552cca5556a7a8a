"""What every command is run by: flags parsed, help printed, errors of input told in a line. It loads no TensorFlow."""

import os
import re
import shutil
import sys
import textwrap

from absl import app, flags, logging

from pga_tf.core import checks, commands, files, flagfiles

COMMAND = re.compile(r"(\S*tools/run )?(python -m|pga-tf) |flags:")
HANGING = 20  # columns; what is indented further goes on with the line before


def run(main, *, usage, help_text=None, arguments=False):
    """Runs a command: parses flags, calls `main()`, prints input errors as one line and exits with status 2.

    With `arguments`, what is left of the command line beside flags is passed to `main` as a list, else refused.
    """
    if any(argument in ("--helpshort", "--help", "-h", "-help") for argument in sys.argv[1:]):
        known = help_text() if help_text else "\nflags:" + flags.FLAGS.main_module_help().partition(":")[2]
        print(to_width(f"{commands.as_started(usage)}\n{known}", max(40, shutil.get_terminal_size((120, 24)).columns)))
        return

    def guarded(argv):
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # libraries report every file that they open as news
        try:
            if arguments:
                return main(argv[1:])
            if len(argv) > 1:
                checks.refuse("Command line", expected="flags only", received=argv[1], remedy="write --name=value")
            return main()
        except (checks.InputError, checks.NonFiniteError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except BrokenPipeError:  # whoever read what is printed, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # a disk that is full or read-only, at whatever file it showed
            print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    for stream in (sys.stdout, sys.stderr):  # names of files are any bytes, and are printed as they are
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")
    app.run(guarded, flags_parser=_parse)


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
