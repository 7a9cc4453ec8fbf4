"""Embeds sounds with a model that a server has: `diptych client`.

servers           what both of these are: a server, and what it tells of its model
rest, grpc_calls  TensorFlow Serving's REST API, which `diptych serve` has as well, and its gRPC API
remote_model      a model on a server, in the form in which `diptych embed` takes models
"""
