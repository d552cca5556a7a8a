"""Runs the TFX pipeline on this machine, with the same words to the user as the local runner."""

import dataclasses
import os
import pathlib
import shutil
import time

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # as in tfx_components, before TFX is imported

from tfx import v1 as tfx
from tqdm import tqdm

from pipelines import graph, runner, tfx_graph
from pipelines import run as local
from pipelines.runner import Result
from pipelines.tfx_store import Store


def run(chosen, *, out=tqdm.write):
    """Runs the pipeline of `Settings` under LocalDagRunner: the command's exit status. `out`: as in `pipelines.run`.

    Raises:
      InputError: what `graph.require`, `graph.steps` or `tfx_graph.pipeline` refuse, a root in use, damaged or of the
        local runner.
    """
    root, start = pathlib.Path(chosen.options.pipeline_root).resolve(), time.perf_counter()
    chosen = dataclasses.replace(chosen, options=dataclasses.replace(chosen.options, pipeline_root=str(root)))
    graph.require(chosen)
    with runner.locked(root):
        store, steps = Store(root), graph.steps(chosen)
        store.clean()
        for step in steps:
            _forget_what_is_gone(store, step)
        here = Runner(steps, store, say=lambda result: local.say(result, out))
        results = here.run(tfx_graph.pipeline(chosen))
        return local.conclude(chosen, results, store, time.perf_counter() - start, out)


def _forget_what_is_gone(store, step):
    for execution in store.executions(step.name) if step.still_holds else ():
        paths = {output: artifact.path for output, artifact in execution.outputs.items()}
        if all(path.is_dir() for path in paths.values()) and not step.still_holds(paths):
            store.forget(execution)


class Runner(tfx.orchestration.LocalDagRunner):
    """LocalDagRunner one step at a time, to say how each ended; what does not need one that failed still runs."""

    def __init__(self, steps, store, *, say):
        super().__init__()
        self.steps, self.store, self.say = steps, store, say

    def run_with_ir(self, pipeline, run_options=None):
        """dict of a step's name to its `Result`. `pipeline`: compiled."""
        nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
        names, results = {step.name for step in self.steps}, {}
        for step in self.steps:
            # LocalDagRunner leaves out nodes that are marked. What is no step is a resolver, for the step after it.
            wanted = {step.name, *nodes[step.name].upstream_nodes} - (names - {step.name})
            for name, node in nodes.items():
                node.execution_options.ClearField("skip")
                if name not in wanted:
                    node.execution_options.skip.SetInParent()
            if all(results[name].execution for name in step.needs()):
                results[step.name] = self._attempt(step, lambda: super(Runner, self).run_with_ir(pipeline, run_options))
            else:
                results[step.name] = Result(step, "not run")
            self.say(results[step.name])
        return results

    def _attempt(self, step, launch):
        (before, _), start = self.store.last(step.name), time.perf_counter()
        try:
            launch()
            id, execution = self.store.last(step.name)
            if id == before or not execution:
                raise RuntimeError(f"TFX left {step.name} out; with --verbosity=0 it says why")
        except (Exception, KeyboardInterrupt) as error:
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            return Result(step, state, time.perf_counter() - start, error=runner.message(error))
        if execution.id != id:
            return Result(step, "cached", 0.0, execution)
        shutil.rmtree(self.store.root / step.name / ".staging", ignore_errors=True)
        return Result(step, "run", execution.seconds, execution)
