"""L3: a trained model outside of this package: export to TensorFlow Serving, and the client that asks it.

`export` writes a version (`signatures`, `stored`, `warmup`) and publishes it (`gate`, `reference`, `versions`);
`remote` asks a server (`specs`, `transport`, `grpc_transport`, `rest_transport`; `inputs` reads what a user names);
`local` is a server for development.
"""
