"""The development server: a `Catalogue` behind gRPC and REST, and a thread that looks for new versions."""

import concurrent.futures
import contextlib
import pathlib
import threading

import grpc
from absl import logging
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from pga_tf.core import checks
from pga_tf.serving.local import policy, rest, rpc
from pga_tf.serving.local.catalogue import Catalogue
from pga_tf.serving.transport import MAX_MESSAGE

THREADS = 16  # requests that are answered together; the others wait in line
GRACE_SECONDS = 5  # for requests under way when the server is told to stop


class Server:
    """Serves what a models.config names, from `start` to `stop`."""

    def __init__(self, config_file, *, model_base=None, host="127.0.0.1", port=0, rest_port=0, max_batch=64):
        """Reads the configuration; port 0 picks a free one.

        Args:
          config_file: a text proto ModelServerConfig. model_base: folder that stands for /models in it; by default
            the configuration's own. max_batch: rows of the largest request.

        Raises `InputError` for a configuration that is missing or wrong.
        """
        self._config_file = pathlib.Path(config_file)
        self._text = policy.read(self._config_file)
        config = policy.parse(self._text, str(config_file))
        self._catalogue = Catalogue(config, model_base or self._config_file.parent, max_batch)
        self._address = (host, port, rest_port)
        self._stopping = threading.Event()
        self._threads = []

    def start(self, *, poll_seconds=1.0, config_poll_seconds=1.0):
        """Loads the models, opens the ports, and looks for changes from then on; 0 seconds: never again."""
        host, port, rest_port = self._address
        self._catalogue.update()
        # With SO_REUSEPORT, gRPC's default, a second server on a taken port would get half of its requests.
        options = [("grpc.so_reuseport", 0), ("grpc.max_send_message_length", MAX_MESSAGE)]
        options += [("grpc.max_receive_message_length", MAX_MESSAGE)]
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(THREADS), options=options)
        services = rpc.PredictionService(self._catalogue), rpc.ModelService(self._catalogue)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services[0], self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(services[1], self._grpc)
        with _port("--port", host, port):
            self.port = self._grpc.add_insecure_port(f"{host}:{port}")
        with _port("--rest_api_port", host, rest_port):
            self._http = rest.Server((host, rest_port), rest.handler_for(self._catalogue))
        self.rest_port = self._http.server_address[1]
        self._grpc.start()
        self._run(self._http.serve_forever)
        if poll_seconds:
            self._run(self._poll, poll_seconds, self._catalogue.update)
        if config_poll_seconds:
            self._run(self._poll, config_poll_seconds, self._look_at_config)
        return self

    def stop(self):
        """Refuses new requests, lets those under way end, and returns when all is closed."""
        self._stopping.set()
        self._grpc.stop(GRACE_SECONDS).wait()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(GRACE_SECONDS)

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _poll(self, seconds, look):
        while not self._stopping.wait(seconds):
            try:
                look()
            except Exception as error:  # a folder that cannot be read now may be readable next time
                logging.warning("looking for changes failed: %s", error)

    def _look_at_config(self):
        text = policy.read(self._config_file)
        if text == self._text:
            return
        self._text = text  # remembered even if it is wrong, so that it is refused once
        self._catalogue.configure(policy.parse(text, str(self._config_file)))
        logging.info("took the changed %s", self._config_file)


@contextlib.contextmanager
def _port(flag, host, port):
    try:
        yield
    except (OSError, RuntimeError) as error:
        checks.refuse(
            flag,
            expected="a free port and an address of this machine",
            received=f"{host}:{port}: {error}",
            remedy="stop the other server, or pass 0 for any free port",
        )
