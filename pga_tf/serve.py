"""A development server for machines without Docker: python -m pga_tf.serve --model_base=saved_models."""

import pathlib
import time

from absl import flags as absl_flags
from absl import logging

from pga_tf import command_line
from pga_tf.core import signals
from pga_tf.serving import versions
from pga_tf.serving.local import policy
from pga_tf.settings.export import BASE

USAGE = """python -m pga_tf.serve [--model_base=runs/models] [--port=8500] [--rest_api_port=8501]

Serves exported models with the gRPC and REST surfaces of TensorFlow Serving. Production uses TensorFlow Serving
itself: docs/serving.md has its command. This one does not put requests of several clients into one batch, has
no TLS and no metrics, answers no other inference than Predict, and refuses a request of more than --max_batch_size
rows. It prints its addresses in one line once it serves; SIGTERM or Ctrl-C then ends it, with status 0."""

FLAGS = absl_flags.FLAGS


def define_flags():
    absl_flags.DEFINE_string("model_config_file", None, "text proto ModelServerConfig; default: that of --model_base")
    absl_flags.DEFINE_string(
        "model_base",
        None,
        "folder that stands for /models in the configuration; default: the configuration's own, else " + BASE,
    )
    absl_flags.DEFINE_string("host", "127.0.0.1", "IPv4 address to listen on; any but loopback is open to the network")
    absl_flags.DEFINE_integer("port", 8500, "gRPC; 0: any free one", lower_bound=0, upper_bound=65535)
    absl_flags.DEFINE_integer("rest_api_port", 8501, "REST; 0: any free one", lower_bound=0, upper_bound=65535)
    absl_flags.DEFINE_float(
        "file_system_poll_wait_seconds", 1.0, "between looks for new versions; 0: never", lower_bound=0.0
    )
    absl_flags.DEFINE_float(
        "model_config_file_poll_wait_seconds",
        1.0,
        "between looks at the configuration; 0: never, which is TensorFlow Serving's default",
        lower_bound=0.0,
    )
    absl_flags.DEFINE_integer("max_batch_size", 64, "rows of the largest request, as in batching.config", lower_bound=1)


def main():
    logging.set_verbosity(logging.INFO)
    config_file = pathlib.Path(FLAGS.model_config_file or pathlib.Path(FLAGS.model_base or BASE) / versions.CONFIG)
    for told in versions.finish_all(config_file.parent) if config_file.name == versions.CONFIG else ():
        logging.warning(told)
    policy.parse(policy.read(config_file), str(config_file))  # refused before TensorFlow is loaded
    from pga_tf.serving.local.server import Server  # loads TensorFlow

    server = Server(
        config_file,
        model_base=FLAGS.model_base,
        host=FLAGS.host,
        port=FLAGS.port,
        rest_port=FLAGS.rest_api_port,
        max_batch=FLAGS.max_batch_size,
    )
    server.start(
        poll_seconds=FLAGS.file_system_poll_wait_seconds,
        config_poll_seconds=FLAGS.model_config_file_poll_wait_seconds,
    )
    with signals.noted() as notice:
        print(f"serving gRPC on {FLAGS.host}:{server.port}, REST on {FLAGS.host}:{server.rest_port}", flush=True)
        while not notice.received:
            time.sleep(0.1)
        server.stop()
    return 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE)
