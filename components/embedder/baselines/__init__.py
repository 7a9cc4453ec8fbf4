"""The embedders that a model is compared with: statistics of spectra, and models that were trained elsewhere.

`parse` turns what a user gives, e.g. `musicnn=musicnn-0.1.0-py3-none-any.whl`, into a loader. This package imports
neither TensorFlow nor Keras; a loader does, when it loads.

    parsing                              what a user may give
    loaders                              the loaders
    options                              settings of the spectra
    packages                             files of a wheel, or of a folder
    function_embedder                    makes an embedder of a function, and checks what the function returns
    statistics, random_projection        baselines without a model
    musicnn, speech_embedding            known models; musicnn_networks has the layers of musicnn
    foreign, calls                       any other model that maps waveforms to vectors
    saved_model, tflite, onnx            how to call each kind of these
"""

from components.embedder.baselines.parsing import HELP, KNOWN, files_beside, is_onnx, parse

__all__ = ["HELP", "KNOWN", "files_beside", "is_onnx", "parse"]
