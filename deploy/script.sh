# shellcheck shell=bash
# What the scripts of deploy/ share. A script sources this file, declares its options, and calls `parse_options "$@"`.
#
#   declare -A options=([project]='' [zone]=europe-west4-a)   --project=NAME, --zone=NAME; '' has to be given
#   declare -A optional=([service_account]='')                may stay empty
#   declare -A switches=([spot]='')                           --spot sets it to "yes"
#
# Every script knows --help, which prints the comment at its top, and --dry_run, which prints the commands that change
# something and does not run them.

set -euo pipefail

unset CDPATH # With it, cd may go elsewhere, and prints where.
declare -A optional=() switches=()
dry_run=''

# Ends the script with one sentence.
die() {
    echo "$(basename "$0"): $1" >&2
    exit 2
}

# Sets the values of `options`, `optional`, `switches` and `dry_run`. Every option has the form --name=value.
parse_options() {
    local argument name value
    for argument in "$@"; do
        name="${argument%%=*}"
        name="${name#--}"
        value="${argument#*=}"
        if [[ "$argument" == --help ]]; then
            sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"
            exit 0
        elif [[ "$argument" == --dry_run ]]; then
            dry_run=yes
        elif [[ "$argument" == "--$name" && -v switches["$name"] ]]; then
            switches["$name"]=yes
        elif [[ "$argument" != "--$name="* ]]; then
            die "$argument is not an option: see --help, and write --name=value"
        elif [[ -v options["$name"] ]]; then
            options["$name"]="$value"
        elif [[ -v optional["$name"] ]]; then
            optional["$name"]="$value"
        else
            die "there is no option --$name: see --help"
        fi
    done
    for name in "${!options[@]}"; do
        [[ -n "${options[$name]}" ]] || die "--$name is missing: see --help"
    done
}

# Prints a command as it can be pasted. Paths in it have to be absolute, because it may be pasted in another folder.
quoted() {
    local word line=''
    for word in "$@"; do
        [[ "$word" =~ ^[A-Za-z0-9_./:=@,+-]+$ ]] || word="${word@Q}"
        line+=" $word"
    done
    echo "${line# }"
}

# Prints a command, but for the passwords in its URLs, and runs it unless this is a dry run.
run() {
    sed -E 's#(://[^:/@[:space:]]*):[^[:space:]]*@#\1:...@#g' <<<"+ $(quoted "$@")"
    [[ -n "$dry_run" ]] || "$@"
}

# Runs a command again and again until it succeeds, ten times at most: a new machine refuses connections, and networks
# fail for a moment. The first argument is the pause in seconds.
patiently() {
    local attempt
    for ((attempt = 1; attempt < 10; attempt++)); do
        ! "${@:2}" || return 0
        sleep "$1"
    done
    "${@:2}"
}

# Whether a command that only looks succeeds. In a dry run nothing is asked, and nothing exists.
finds() {
    [[ -z "$dry_run" ]] && "$@" >/dev/null 2>&1
}
