"""Options of a Beam runner, from --beam_pipeline_args."""

import contextlib
import io

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from pga_tf.core import checks

# Of its workers. Each would else tell the user of every connection that it opens and closes.
QUIET = "--default_sdk_harness_log_level=ERROR"


def parsed(beam_args):
    """The `PipelineOptions` of a list of texts, such as ["--runner=DirectRunner", "--direct_num_workers=4"].

    Raises:
      InputError: a runner or an option that Beam does not know, or a value that it does not take.
    """
    said = io.StringIO()  # argparse says what is wrong, after two pages of usage, and leaves the process
    try:
        with contextlib.redirect_stderr(said):
            made = PipelineOptions([QUIET, *beam_args])
            create_runner(made.view_as(StandardOptions).runner or "DirectRunner")  # which brings its own options
            known = made.get_all_options()
            unknown = made.get_all_options(retain_unknown_options=True).keys() - known.keys()
    except SystemExit:
        _refuse(said.getvalue().splitlines()[-1].partition("error: ")[2])
    except (ImportError, AttributeError, ValueError) as error:  # by whether its name has dots, and which part fails
        _refuse(str(error))
    if unknown:
        name = min(unknown)
        close = checks.nearest(name, known)
        _refuse(f"--{name}", f"did you mean --{close}?" if close else "")
    return made


def _refuse(received, hint=""):
    remedy = "see the options of your runner in Beam's documentation"
    checks.refuse(
        "--beam_pipeline_args",
        expected="options that Apache Beam takes",
        received=received,
        remedy=f"{hint} Else {remedy}" if hint else remedy,
    )
