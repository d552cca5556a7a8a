"""What every command is run by: flags parsed, help printed, errors of input told in a line. It loads no TensorFlow."""

import sys

from absl import app, flags, logging

from pga_tf.core import checks


def run(main, *, usage, help_text=None, arguments=False):
    """Runs a command: parses flags, calls `main()`, prints input errors as one line and exits with status 2.

    With `arguments`, what is left of the command line beside flags is passed to `main` as a list, else refused.
    """
    if any(argument in ("--helpshort", "--help", "-h", "-help") for argument in sys.argv[1:]):
        print(usage + "\n" + (help_text() if help_text else flags.FLAGS.main_module_help()))
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
        except OSError as error:  # a disk that is full or read-only, at whatever file it showed
            print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    app.run(guarded, flags_parser=_parse)


def _parse(argv):
    """Parses flags; an unknown flag, a bad value or a missing flagfile exits with one line and status 2."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
