"""Export to TensorFlow Serving: signatures, whole versions behind a gate, the server's configuration, a client."""
