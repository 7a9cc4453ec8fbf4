"""The pipeline on Vertex AI Pipelines and Kubeflow Pipelines (KFP), where each stage is a step in a container.

`steps` says what machine a step gets, `pipeline_spec` describes the pipeline in KFP's format, `compiling` writes it,
and `submitting` sends it to Vertex AI. Each container calls `diptych run-component`, see
`pipeline.runner.one_component`, and `executor_output` tells KFP what it wrote.
"""
