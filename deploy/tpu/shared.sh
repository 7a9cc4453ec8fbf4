# shellcheck shell=bash
# shellcheck disable=SC2154 # The scripts declare their options.
# What the scripts of deploy/tpu share, beside script.sh. They source this file after it.

tpu_folder="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$tpu_folder/../.." && pwd)"

# Prints the state of the request for a TPU, or nothing if there is none. A list, because only its empty answer means
# that there is none; describe fails without rights or a network, too.
tpu_state() {
    gcloud compute tpus queued-resources list --project="${options[project]}" --zone="${options[zone]}" \
        --filter="name~/${options[name]}\$" --format='value(state.state)'
}

# Says that a TPU is left, and how to delete it. The argument says how sure that is: "exists" or "may exist".
say_what_is_left() {
    echo "$(basename "$0"): the TPU ${options[name]} $1, and costs until it is deleted:" \
        "$(quoted "$tpu_folder/delete.sh" --project="${options[project]}" --zone="${options[zone]}" \
            --name="${options[name]}")" >&2
}

# Ends the script on Ctrl-C, also where the program that it waits for ends by itself and would be tried again, and when
# its terminal closes. A second signal must not cut short what the script says at its end: bash passes a hangup on to
# all processes of a script that waits for an answer, the script itself included.
end_on_signals() {
    trap 'trap "" INT HUP; exit 130' INT
    trap 'trap "" INT HUP; exit 129' HUP
}

# Whether the type of a TPU is a slice: a machine has at most eight cores.
is_slice() {
    [[ "${options[type]}" =~ ^v[0-9]+[a-z]*-([0-9]+)$ ]] || die "--type=${options[type]} is not of the form v3-8"
    ((10#${BASH_REMATCH[1]} > 8))
}

# Ends the script if an option is given that is not a number.
check_number() {
    local value="${options[$1]:-${optional[$1]:-}}"
    [[ "$value" =~ ^([0-9]*\.?[0-9]+)?$ ]] || die "--$1=$value is not a number"
}

# Ends the script if Diptych refuses a preset or fields, as far as it is installed here: on the TPU, finding out costs.
check_config() {
    local diptych="$repository/.venv/bin/diptych" refusal
    [[ -x "$diptych" ]] || diptych="$(command -v diptych)" || return 0
    ! refusal="$("$diptych" config --preset="$1" "${@:2}" 2>&1 >/dev/null)" || return 0
    "$diptych" config --preset=base >/dev/null 2>&1 || return 0 # It refuses everything, so it says nothing.
    die "$(quoted --preset="$1" ${optional[fields]:+--fields="${optional[fields]}"}): ${refusal##*$'\n'}"
}
