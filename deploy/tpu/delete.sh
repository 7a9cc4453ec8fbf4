#!/usr/bin/env bash
# Deletes a TPU and its request, with everything on its disks. What it has written to the bucket stays.
#
#   deploy/tpu/delete.sh --project=my-project --zone=europe-west4-a
#
# --project=NAME    the project
# --zone=NAME       the zone of the TPU
# --name=NAME       of the TPU (default: diptych)
# --dry_run         print the command and do not run it

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"

declare -A options=([project]='' [zone]='' [name]=diptych)
parse_options "$@"

if [[ -z "$dry_run" ]]; then
    state="$(tpu_state)"
    if [[ -z "$state" ]]; then
        echo "there is no TPU ${options[name]}"
        exit 0
    fi
fi
run gcloud compute tpus queued-resources delete "${options[name]}" --project="${options[project]}" \
    --zone="${options[zone]}" --force --quiet
