"""Converts the model for other runtimes, LiteRT and ONNX Runtime, and compares each file with the SavedModel.

variants.py   which files there may be
window.py     the function that is converted: one window in, its embeddings out
litert.py     converts it to a .tflite file
onnx.py       converts it to an .onnx file
run_once.py   executes a file in a fresh process, without TensorFlow
checks.py     the InfraValidator's verdict on a file
parity.py     the table of what each file loses against the SavedModel, and gains
exporting.py  all of this, one after the other

The executor imports it only if `exporter.formats` names a file.
"""
