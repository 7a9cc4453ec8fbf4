#!/usr/bin/env bash
# Trains to the end on spot TPUs: makes the TPU, starts the training, and does so again when the TPU was taken away. The
# training continues from its last checkpoint. At the end, and if the training fails by itself, the TPU is deleted. Run
# it where it can stay: it may be stopped and started again, too. It takes the options of create.sh and of train.sh. A TPU
# of its name is deleted first.
#
#   deploy/tpu/keep_training.sh --project=my-project --zone=europe-west4-a --type=v3-32 --spot \
#       --examples=gs://my-bucket/examples --output=gs://my-bucket/final --preset=final
#
# --name=NAME       of its TPUs (default: diptych-spot)
# --attempts=N      give up after this number of TPUs (default: 100)
# --poll=SECONDS    between two looks at the TPU (default: 60)
# --dry_run         print the commands of one attempt and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"

declare -A options=([project]='' [zone]='' [examples]='' [output]='' [type]=v3-8 [name]=diptych-spot [preset]=base
    [attempts]=100 [poll]=60)
declare -A optional=([fields]='' [hourly_cost]='' [stall_alarm]='' [service_account]='' [version]='')
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
for option in fields hourly_cost stall_alarm; do
    [[ -z "${optional[$option]}" ]] || train+=("--$option=${optional[$option]}")
done
if [[ -n "$dry_run" ]]; then
    create+=(--dry_run) train+=(--dry_run) place+=(--dry_run)
fi

is_finished() {
    finds gcloud storage ls "${options[output]}/model/training.json"
}

# Prints the state of the TPU, or GONE if there is none. It asks until there is an answer: no answer says nothing.
state() {
    local answer
    until answer="$(gcloud compute tpus queued-resources list "${place[@]}" --filter="name~/${options[name]}\$" \
        --format='value(state.state)')"; do
        sleep "${options[poll]}"
    done
    echo "${answer:-GONE}"
}

# Runs a command on the first machine of the TPU.
on_tpu() {
    gcloud compute tpus tpu-vm ssh "${options[name]}" "${place[@]}" --worker=0 --command="$1"
}

# Whether no training runs on the TPU. A machine that does not answer for once may still train. The brackets keep pgrep
# from finding the remote shell, whose command line holds the pattern itself.
has_ended() {
    [[ "$(on_tpu "pgrep --full '[d]iptych train' >/dev/null || echo ended")" == ended ]]
}

# Waits until the training ends or the TPU is taken away.
wait_for_end() {
    while [[ "$(state)" == ACTIVE ]] && ! has_ended; do
        sleep "${options[poll]}"
    done
    sleep "${options[poll]}" # The training ends a little before its TPU is gone.
}

delete() {
    patiently "${options[poll]}" "$here/delete.sh" "${place[@]}" --name="${options[name]}"
}

# Deletes the TPU and ends the script if the training is finished.
end_if_finished() {
    if is_finished; then
        echo "the training is finished: ${options[output]}/model"
        delete
        exit 0
    fi
}

end_if_finished # By an earlier call.
for ((attempt = 1; attempt <= options[attempts]; attempt++)); do
    echo "attempt $attempt"
    delete
    if "$here/create.sh" "${create[@]}" && patiently "${options[poll]}" "$here/train.sh" "${train[@]}"; then
        [[ -z "$dry_run" ]] || exit 0
        wait_for_end
        end_if_finished
        if [[ "$(state)" == ACTIVE ]]; then
            on_tpu 'tail train.log' || true
            delete
            die "the training has failed by itself; above are the last lines of its log"
        fi
    else
        sleep "${options[poll]}"
        if [[ "$(state)" == ACTIVE ]]; then # Another TPU would not help: this one is there, and was asked ten times.
            delete
            die "Diptych cannot be installed or started on the TPU; above is why"
        fi
    fi
done
die "the training is not finished after ${options[attempts]} TPUs: its checkpoints are in ${options[output]}"
