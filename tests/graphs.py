"""A traced function as TensorFlow executes it: after Grappler."""

import collections

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.grappler import tf_optimizer  # no public way to see an optimised graph


def optimised(function, *args):
    """GraphDef of `function`, a `tf.function`, traced for `args` and optimised with Grappler's defaults."""
    concrete = function.get_concrete_function(*args)
    meta = tf.compat.v1.train.export_meta_graph(graph_def=concrete.graph.as_graph_def(), graph=concrete.graph)
    kept = [tensor.name for tensor in concrete.outputs] + [op.name for op in concrete.graph.control_outputs]
    meta.collection_def["train_op"].node_list.value.extend(kept)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.min_graph_nodes = -1  # small graphs too
    return tf_optimizer.OptimizeGraph(config, meta)


def unordered(graph):
    """(read, write) names of the pairs of operations on one variable that may run in either order, and how many
    pairs there are."""
    consumers, of_handle = collections.defaultdict(list), collections.defaultdict(list)
    handles = {
        node.name
        for node in graph.node
        if node.op == "Placeholder" and node.attr["dtype"].type == tf.resource.as_datatype_enum
    }
    for node in graph.node:
        for name in node.input:
            source = name.lstrip("^").split(":")[0]
            consumers[source].append(node.name)
            if source in handles:
                of_handle[source].append(node)

    def reachable(start):
        found, queue = {start}, [start]
        for name in queue:
            new = [n for n in consumers[name] if n not in found]
            found.update(new)
            queue.extend(new)
        return found

    pairs, loose = 0, []
    for nodes in of_handle.values():
        reads = [node.name for node in nodes if node.op == "ReadVariableOp"]
        for write in [node.name for node in nodes if node.op.startswith(("Assign", "ResourceApply"))]:
            after = reachable(write)
            for read in reads:
                pairs += 1
                if write not in reachable(read) and read not in after:
                    loose.append((read, write))
    return loose, pairs
