#!/usr/bin/env bash
# Runs on the TPU's first machine: installs Diptych from an archive of the repository, and TensorFlow's build for TPUs.
#
#   bash install.sh diptych.tar.gz

set -euo pipefail

mkdir -p diptych
tar --extract --gzip --file "$1" --directory diptych
cd diptych
sudo apt-get update --quiet
sudo apt-get install --yes --quiet make python3-venv
make install-gcp # Google's client for buckets takes the lease of --output in one step.
# TensorFlow asks Google's API for the machines of a slice through these two.
.venv/bin/pip install --quiet --constraint deploy/requirements-gcp.lock google-api-python-client oauth2client
# tensorflow-tpu holds the same files as tensorflow, and needs exactly the driver that it was built for.
.venv/bin/pip install --quiet --force-reinstall --no-deps tensorflow-tpu==2.17.1 libtpu==2.17.1 \
    --find-links https://storage.googleapis.com/libtpu-tf-releases/index.html
