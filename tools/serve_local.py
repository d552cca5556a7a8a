"""A development server for machines without Docker: tools/run python tools/serve_local.py.

Serves exported models with the gRPC and REST surfaces of TensorFlow Serving. Production uses TensorFlow Serving
itself: saved_models/README.md has its command. This one does not put requests of several clients into one batch, has
no TLS and no metrics, answers no other inference than Predict, and refuses a request of more than --max_batch_size
rows. It prints its addresses in one line once it serves; SIGTERM or Ctrl-C ends it.
"""

import signal
import sys
import threading

from absl import app, flags, logging

from pga_tf.core import checks
from pga_tf.serving.local.server import Server

FLAGS = flags.FLAGS
flags.DEFINE_string("model_config_file", "saved_models/models.config", "text proto ModelServerConfig")
flags.DEFINE_string(
    "model_base", None, "folder that stands for /models in the configuration; default: the configuration's own"
)
flags.DEFINE_string("host", "127.0.0.1", "IPv4 address to listen on; any but loopback is open to the network")
flags.DEFINE_integer("port", 8500, "gRPC; 0: any free one", lower_bound=0, upper_bound=65535)
flags.DEFINE_integer("rest_api_port", 8501, "REST; 0: any free one", lower_bound=0, upper_bound=65535)
flags.DEFINE_float("file_system_poll_wait_seconds", 1.0, "between looks for new versions; 0: never", lower_bound=0.0)
flags.DEFINE_float(
    "model_config_file_poll_wait_seconds",
    1.0,
    "between looks at the configuration; 0: never, which is TensorFlow Serving's default",
    lower_bound=0.0,
)
flags.DEFINE_integer("max_batch_size", 64, "rows of the largest request, as in batching.config", lower_bound=1)


def serve():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = Server(
        FLAGS.model_config_file,
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
    print(f"serving gRPC on {FLAGS.host}:{server.port}, REST on {FLAGS.host}:{server.rest_port}", flush=True)
    stop.wait()
    server.stop()


def main(_):
    logging.set_verbosity(logging.INFO)
    try:
        serve()
    except checks.InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    app.run(main)
