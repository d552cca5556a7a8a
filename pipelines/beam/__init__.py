"""The data-parallel steps on Apache Beam, with the components' per-element code. Nothing else imports Beam."""

import importlib
import logging


def _wanted(record):
    return "apitools" not in record.getMessage()


# Beam warns whoever imports it that it lacks what BigQuery needs, which nothing here asks for.
logging.getLogger().addFilter(_wanted)
importlib.import_module("apache_beam")
logging.getLogger().removeFilter(_wanted)
