"""Serves an exported model over HTTP: `diptych serve`.

The modules, in the order in which a request passes through them:

    run, connections  the HTTP server: starts, drains and ends; ends connections that are too slow
    app               the routes, and the headers that all answers have
    admission         how many requests, and how much of them, the server holds at a time
    limits            these bounds, and the error of a request that is refused
    rest, kserve      the two interfaces: TensorFlow Serving's REST API, and the Open Inference Protocol
    tensors           values in JSON to arrays and back; binary_tensors: those that follow the JSON
    calls             checks the arrays against the signature that is called
    batching          calls signatures with the clips of several requests
    models, versions  the version that is served, and the next one when it appears
    served            a version: a SavedModel and its signatures; served_file: a .tflite or .onnx file
    page              the page for people, in `static`; it shows what is in these two:
      sounds          decodes recordings; waveforms and log-mel pictures
      neighbors       the nearest among stored embeddings
    metrics           what Prometheus reads
    service           all of these parts together

Nothing in a request is ever opened as a file or an address. The files that are read are the model, the embeddings of
`--index`, and the sounds that these list.
"""
