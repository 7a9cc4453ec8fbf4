#!/usr/bin/env bash
# Trains to the end on spot TPUs: makes the TPU, starts the training, and does so again when the TPU was taken away. The
# training continues from its last checkpoint. At the end, and if the training fails by itself, the TPU is deleted. Run
# it where it can stay: it may be stopped and started again, too. It takes the options of create.sh and of train.sh.
#
#   deploy/tpu/keep_training.sh --project=my-project --zone=europe-west4-a --type=v3-32 --spot \
#       --examples=gs://my-bucket/examples --output=gs://my-bucket/final --preset=final
#
# --attempts=N      give up after this number of TPUs (default: 100)
# --poll=SECONDS    between two looks at the TPU (default: 60)
# --dry_run         print the commands of one attempt and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"

declare -A options=([project]='' [zone]='' [examples]='' [output]='' [type]=v3-8 [name]=diptych [preset]=base
    [attempts]=100 [poll]=60)
declare -A optional=([fields]='' [service_account]='' [version]='')
declare -A switches=([spot]='')
parse_options "$@"

here="$(dirname "${BASH_SOURCE[0]}")"
place=(--project="${options[project]}" --zone="${options[zone]}")
same=("${place[@]}" --name="${options[name]}" --type="${options[type]}")
create=("${same[@]}" --poll="${options[poll]}")
[[ -z "${switches[spot]}" ]] || create+=(--spot)
for option in service_account version; do
    [[ -z "${optional[$option]}" ]] || create+=("--$option=${optional[$option]}")
done
train=("${same[@]}" --examples="${options[examples]}" --output="${options[output]}" --preset="${options[preset]}")
[[ -z "${optional[fields]}" ]] || train+=(--fields="${optional[fields]}")
if [[ -n "$dry_run" ]]; then
    create+=(--dry_run) train+=(--dry_run) place+=(--dry_run)
fi

is_finished() {
    finds gcloud storage ls "${options[output]}/model/training.json"
}

state() {
    gcloud compute tpus queued-resources describe "${options[name]}" "${place[@]}" --format='value(state.state)' ||
        echo GONE
}

# Runs a command on the first machine of the TPU.
on_tpu() {
    gcloud compute tpus tpu-vm ssh "${options[name]}" "${place[@]}" --worker=0 --command="$1"
}

# Waits until the training ends or the TPU is taken away. A machine that does not answer for once may still train.
wait_for_end() {
    while [[ "$(state)" == ACTIVE && "$(on_tpu "pgrep --full 'diptych train' >/dev/null || echo ended")" != ended ]]; do
        sleep "${options[poll]}"
    done
    sleep "${options[poll]}" # The training ends a little before its TPU is gone.
}

delete() {
    "$here/delete.sh" "${place[@]}" --name="${options[name]}"
}

for ((attempt = 1; attempt <= options[attempts]; attempt++)); do
    echo "attempt $attempt"
    delete
    if "$here/create.sh" "${create[@]}" && "$here/train.sh" "${train[@]}"; then
        [[ -z "$dry_run" ]] || exit 0
        wait_for_end
    else
        sleep "${options[poll]}"
    fi
    if is_finished; then
        echo "the training is finished: ${options[output]}/model"
        delete
        exit 0
    elif [[ "$(state)" == ACTIVE ]]; then
        on_tpu 'tail train.log' || true
        delete
        die "the training has failed by itself; above are the last lines of its log"
    fi
done
die "the training is not finished after ${options[attempts]} TPUs: its checkpoints are in ${options[output]}"
