"""Options of a Beam runner, from --beam_pipeline_args."""

import contextlib
import importlib
import io
import re

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from pga_tf.core import checks

# Of its workers. Each would else tell the user of every connection that it opens and closes.
QUIET = "--default_sdk_harness_log_level=ERROR"
DASK = "apache_beam.runners.dask.dask_runner.DaskRunner"
# Of what Dask's workers take at a time. It makes few parts of few elements, and then one worker does it all; grouping
# takes about as many tasks as there are pairs of parts.
PARTS = "--dask_npartitions=32"
OPTION = re.compile(r"--\w+")
INSTALL = "python -m pip install -r requirements-pipeline.txt -c constraints-pipeline.txt"


def parsed(beam_args):
    """The `PipelineOptions` of a list of texts, such as ["--runner=DirectRunner", "--direct_num_workers=4"].

    Raises:
      InputError: a runner or an option that Beam does not know, a value that it does not take, or Dask's runner where
        Dask is not installed.
    """
    said = io.StringIO()  # argparse says what is wrong, after two pages of usage, and leaves the process
    known, unknown = [], []

    def look(parser):
        known.extend(OPTION.findall(parser.format_usage()))
        unknown.extend(text.partition("=")[0] for text in parser.parse_known_args(beam_args)[1] if text.startswith("-"))

    try:
        with contextlib.redirect_stderr(said):
            made = _made([QUIET, *beam_args])
            if on_dask(made):
                importlib.import_module("distributed")  # without it Beam's runner fails by a name in its own code
            create_runner(made.view_as(StandardOptions).runner or "DirectRunner")  # which brings its own options
            values = made.get_all_options(add_extra_args_fn=look, retain_unknown_options=True)
    except SystemExit:
        _refuse(said.getvalue().splitlines()[-1].partition("error: ")[2])
    except (ImportError, AttributeError, ValueError) as error:  # by whether its name has dots, and which part fails
        if isinstance(error, ImportError) and (error.name or "").split(".")[0] in ("dask", "distributed"):
            checks.refuse(
                "--runner=DaskRunner",
                expected="Dask, which requirements-pipeline.txt installs",
                received=str(error),
                remedy=INSTALL,
            )
        _refuse(str(error))
    if unknown:
        close = checks.nearest(unknown[0], known)
        _refuse(unknown[0], f"did you mean {close}?" if close else "")
    if on_dask(made) and not (values["npartitions"] or values["partition_size"]):
        return _made([QUIET, PARTS, *beam_args])
    return made


def on_dask(options):
    """Whether `PipelineOptions` name Dask's runner."""
    return options.view_as(StandardOptions).runner == DASK


def _made(texts):
    made = PipelineOptions(texts)
    standard = made.view_as(StandardOptions)
    if (standard.runner or "").lower() in ("dask", "daskrunner"):  # Beam knows its other runners by such names
        standard.runner = DASK
    return made


def _refuse(received, hint=""):
    remedy = "see the options of your runner in Beam's documentation"
    checks.refuse(
        "--beam_pipeline_args",
        expected="options that Apache Beam takes",
        received=received,
        remedy=f"{hint} Else {remedy}" if hint else remedy,
    )
