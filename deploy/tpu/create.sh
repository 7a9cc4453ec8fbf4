#!/usr/bin/env bash
# Asks for a TPU, waits until it is there, and installs Diptych on it. Spot TPUs cost a fraction, and may be taken away.
# It may be run again: a TPU of this name that exists, or is asked for, is taken as it is.
#
#   deploy/tpu/create.sh --project=my-project --zone=europe-west4-a --type=v3-8 --spot
#
# --project=NAME    the project, in which the TPU API is enabled
# --zone=NAME       the zone, in the region of the bucket
# --type=TYPE       v3-8 is one machine, v3-32 a slice of four (default: v3-8)
# --name=NAME       of the TPU and its request (default: diptych)
# --spot            at the lower price
# --service_account=ADDRESS   see the page for its rights (default: that of Compute Engine)
# --version=NAME    image of the machines (default: TensorFlow 2.17.1, for one machine or for a slice)
# --poll=SECONDS    between two questions whether it is there (default: 30)
# --dry_run         print the commands and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"

declare -A options=([project]='' [zone]='' [type]=v3-8 [name]=diptych [poll]=30)
declare -A optional=([service_account]='' [version]='')
declare -A switches=([spot]='')
parse_options "$@"

check_number poll
name="${options[name]}" place=(--project="${options[project]}" --zone="${options[zone]}")
version=tpu-vm-tf-2.17.1-pjrt
! is_slice || version=tpu-vm-tf-2.17.1-pod-pjrt
version="${optional[version]:-$version}"

left='' folder=''
leave() {
    rm -rf "$folder"
    # keep_training.sh deletes the TPU itself, or says that it has not.
    [[ -z "$left" || -n "${DIPTYCH_KEEPS_TRAINING:-}" ]] || say_what_is_left "$left"
}
trap leave EXIT
end_on_signals

more=()
[[ -z "${switches[spot]}" ]] || more+=(--spot)
[[ -z "${optional[service_account]}" ]] || more+=(--service-account="${optional[service_account]}")
state=''
[[ -n "$dry_run" ]] || state="$(tpu_state)"
if [[ -n "$state" ]]; then
    echo "the TPU $name exists, or is asked for: it keeps its type, its image and its price"
else
    [[ -n "$dry_run" ]] || left='may exist'
    run gcloud compute tpus queued-resources create "$name" "${place[@]}" --node-id="$name" \
        --accelerator-type="${options[type]}" --runtime-version="$version" "${more[@]}" || {
        status=$?
        ! state="$(tpu_state)" || [[ -n "$state" ]] || left='' # Most often, Google has refused the request.
        exit "$status"
    }
fi
[[ -n "$dry_run" ]] || left=exists

while [[ -z "$dry_run" ]]; do
    state="$(patiently "${options[poll]}" \
        gcloud compute tpus queued-resources describe "$name" "${place[@]}" --format='value(state.state)')"
    [[ "$state" != ACTIVE ]] || break
    [[ "$state" != FAILED && "$state" != SUSPENDED ]] || die "the request for the TPU $name is $state"
    echo "$name: $state"
    sleep "${options[poll]}"
done

# The first machine of a slice drives the others, so only it needs Diptych.
folder="$(mktemp -d)"
archive="$folder/diptych.tar.gz"
run git -C "$repository" archive --format=tar.gz --output="$archive" HEAD
patiently "${options[poll]}" run \
    gcloud compute tpus tpu-vm scp "$archive" "$repository/deploy/tpu/install.sh" "$name:" "${place[@]}" --worker=0
patiently "${options[poll]}" run \
    gcloud compute tpus tpu-vm ssh "$name" "${place[@]}" --worker=0 --command='bash install.sh diptych.tar.gz'
left='' # It is what was asked for.
