"""The commands as one reproducible graph: TFX's components as plain functions, and two runners for them.

`components/` holds the steps and imports no engine; `graph` says what feeds what. `run` executes it here, with
artifacts in TFX's directory layout and lineage in SQLite (`store`); `beam/` does the data-parallel steps on Apache
Beam. `tfx_pipeline` makes the same graph one of TFX: `tfx_components` are its nodes, `tfx_graph` the whole,
`tfx_runner` runs it here, and `tfx_store` reads ML Metadata as `store` reads its own. `page` and `lineage` show either.
"""

import sys

if sys.argv[:1] == ["-m"]:  # as in pga_tf
    from pga_tf.core import signals

    signals.end_at_once()
