"""The commands as one reproducible graph: TFX's components as plain functions, and a local runner for them.

`components/` holds the steps and imports no engine; `graph` says what feeds what; `run` executes it here, with
artifacts in TFX's directory layout and lineage in SQLite; `beam/` does the data-parallel steps on Apache Beam, and
`tfx_pipeline` makes the same graph one of TFX.
"""
