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

declare -A options=([project]='' [zone]='' [name]=diptych)
parse_options "$@"

place=(--project="${options[project]}" --zone="${options[zone]}")
if [[ -z "$dry_run" ]]; then
    # A list, because only its empty answer means that there is none; describe fails without rights or a network, too.
    found="$(gcloud compute tpus queued-resources list "${place[@]}" --filter="name~/${options[name]}\$" \
        --format='value(name)')"
    if [[ -z "$found" ]]; then
        echo "there is no TPU ${options[name]}"
        exit 0
    fi
fi
run gcloud compute tpus queued-resources delete "${options[name]}" "${place[@]}" --force --quiet
