#!/usr/bin/env bash
# Trains to the end on spot TPUs: makes the TPU, starts the training, and does so again when the TPU was taken away. The
# training continues from its last checkpoint. At the end, and if the training fails by itself, the TPU is deleted. Run
# it where it can stay: it may be stopped and started again, too. It takes the options of create.sh and of train.sh. A
# TPU of its name is deleted first.
#
# OUTPUT/finished.txt says which training has finished: the same command then ends at once, and another one trains. If
# the training has ended while this script was stopped, it takes one more TPU to find that out.
#
#   deploy/tpu/keep_training.sh --project=my-project --zone=europe-west4-a --type=v3-32 --spot \
#       --examples=gs://my-bucket/examples --output=gs://my-bucket/final --preset=final
#
# --name=NAME       of its TPUs (default: diptych-spot)
# --attempts=N      give up after this number of TPUs (default: 100)
# --poll=SECONDS    between two looks at the TPU (default: 60)
# --dry_run         print the commands of one attempt and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"

declare -A options=([project]='' [zone]='' [examples]='' [output]='' [type]=v3-8 [name]=diptych-spot [preset]=base
    [attempts]=100 [poll]=60)
declare -A optional=([fields]='' [hourly_cost]='' [stall_alarm]='' [service_account]='' [version]='')
declare -A switches=([spot]='')
parse_options "$@"

place=(--project="${options[project]}" --zone="${options[zone]}")
delete=("${place[@]}" --name="${options[name]}")
create=("${delete[@]}" --type="${options[type]}" --poll="${options[poll]}")
[[ -z "${switches[spot]}" ]] || create+=(--spot)
for option in service_account version; do
    [[ -z "${optional[$option]}" ]] || create+=("--$option=${optional[$option]}")
done
train=("${delete[@]}" --type="${options[type]}" --examples="${options[examples]}" --output="${options[output]}"
    --preset="${options[preset]}")
for option in fields hourly_cost stall_alarm; do
    [[ -z "${optional[$option]}" ]] || train+=("--$option=${optional[$option]}")
done

# What can be wrong is found before a TPU costs anything.
[[ "${options[attempts]}" =~ ^[1-9][0-9]*$ ]] || die "--attempts=${options[attempts]} is not a number of TPUs"
"$tpu_folder/create.sh" "${create[@]}" --dry_run >/dev/null
"$tpu_folder/train.sh" "${train[@]}" --dry_run >/dev/null
export DIPTYCH_KEEPS_TRAINING=yes
if [[ -n "$dry_run" ]]; then
    delete+=(--dry_run) create+=(--dry_run) train+=(--dry_run)
fi

output="${options[output]%/}" left=''
trap '[[ -z "$left" ]] || say_what_is_left "$left"' EXIT
end_on_signals

# Asks until there is an answer, and prints it: no answer says nothing.
ask() {
    local answer
    until answer="$("$@")"; do
        sleep "${options[poll]}"
    done
    echo "$answer"
}

# Prints the state of the TPU, or GONE if there is none.
state() {
    local answer
    answer="$(ask tpu_state)"
    echo "${answer:-GONE}"
}

# Prints the generation of a file in a bucket, which is another one whenever the file is written, or nothing if there is
# no such file.
generation() {
    gcloud storage objects list "$1" --format='value(generation)'
}

# Prints what finished.txt says if the training that is asked for has written training.json, of this generation.
record() {
    printf '%s\n' "preset=${options[preset]}" "examples=${options[examples]}" "fields=${optional[fields]}" \
        "generation=$1"
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
    left="${left:-may exist}"
    patiently "${options[poll]}" "$tpu_folder/delete.sh" "${delete[@]}"
    left=''
}

# Writes finished.txt after a training that has written training.json of this generation.
# shellcheck disable=SC2329 # `patiently` calls it.
note() {
    record "$1" | gcloud storage cp - "$output/finished.txt"
}

if [[ -z "$dry_run" ]]; then
    # Not `ask`: an answer that never comes, e.g. for want of rights, is an error of this command.
    before="$(generation "$output/model/training.json")"
    if [[ -n "$before" && "$(gcloud storage cat "$output/finished.txt" 2>/dev/null)" == "$(record "$before")" ]]; then
        echo "the training is finished: $output/model"
        delete
        exit 0
    fi
    # The TPU's account may be allowed to read what this one is not.
    if found="$(generation "${options[examples]%/}/dataset_info.json")" && [[ -z "$found" ]]; then
        die "there is no dataset_info.json in --examples=${options[examples]}: give what AudioExampleGen published"
    fi
fi

has_started=''
for ((attempt = 1; attempt <= options[attempts]; attempt++)); do
    echo "attempt $attempt"
    delete
    if [[ -n "$dry_run" ]]; then
        "$tpu_folder/create.sh" "${create[@]}"
        "$tpu_folder/train.sh" "${train[@]}"
        exit 0
    fi
    left=exists
    # A training writes training.json at its end only, even if it finds nothing left to do.
    if "$tpu_folder/create.sh" "${create[@]}" && before="$(ask generation "$output/model/training.json")" &&
        patiently "${options[poll]}" "$tpu_folder/train.sh" "${train[@]}"; then
        has_started=yes
        wait_for_end
        now="$(ask generation "$output/model/training.json")"
        if [[ -n "$now" && "$now" != "$before" ]]; then
            echo "the training is finished: $output/model"
            delete
            patiently "${options[poll]}" note "$now" ||
                die "$output/finished.txt cannot be written: the same command would take one more TPU"
            exit 0
        fi
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
delete # Its request may still be waiting for a TPU.
[[ -n "$has_started" ]] || die "no training could be started, with ${options[attempts]} TPUs: above is why"
die "the training is not finished after ${options[attempts]} TPUs: its checkpoints are in $output"
