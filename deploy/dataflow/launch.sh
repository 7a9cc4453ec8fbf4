#!/usr/bin/env bash
# Turns the audio of a bucket into examples and their statistics, with Beam jobs on Dataflow. This machine lists the
# audio, waits for the jobs and publishes what they wrote. The same command goes on after a failure.
#
#   deploy/dataflow/launch.sh --project=my-project --bucket=my-bucket --tag=1 --data=gs://my-bucket/audioset
#
# --project=NAME    the project, prepared by setup.sh
# --bucket=NAME     the bucket; the run is written to gs://BUCKET/runs/NAME
# --tag=TAG         the tag of the image, built by build.sh
# --data=PATH       the audio, in the bucket
# --name=NAME       the name of the run (default: audioset)
# --preset=NAME     the config to start from (default: base)
# --fields='FIELD=VALUE;FIELD=VALUE'   changed fields of the config
# --region=NAME     where the bucket and the image are (default: europe-west4)
# --subnet=NAME     the network of the workers (default: default)
# --machine=TYPE    of a worker (default: n2-standard-4)
# --max_workers=N   at most this many workers; starting one costs 5 minutes of it, so more are faster and dearer
#                   (default: 8)
# --metadata=STORE  as of diptych run (default: NAME.sqlite in the current folder, to be kept)
# --now             start at once, at the full price; otherwise Dataflow may wait for up to six hours for cheap machines
# --with=HOW        command: this machine drives the jobs, with diptych run. template: Dataflow's launcher starts the
#                   job of AudioExampleGen, and nothing has to wait for it (default: command)
# --hourly_cost=COST     of the workers together, in any currency: each stage then says what it costs (with=command)
# --stall_alarm=MINUTES  each stage says when it makes no progress for so long (default: 15; with=command)
# --dry_run         print the command and do not run it

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"

declare -A options=([project]='' [bucket]='' [tag]='' [data]='' [name]=audioset [preset]=base [region]=europe-west4
    [subnet]=default [machine]=n2-standard-4 [max_workers]=8 [with]=command)
declare -A optional=([fields]='' [metadata]='' [hourly_cost]='' [stall_alarm]='')
declare -A switches=([now]='')
parse_options "$@"

# Refuses a diptych of another Python than the image's, which the workers would say only when they have started. Of a
# script that does not name its Python on its first line nothing is known here.
check_python() {
    local image own script way_out
    image="$(sed -n 's/^FROM python:\([0-9]*\.[0-9]*\)-.*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/Dockerfile" | tail -n 1)"
    script="$(command -v diptych)" || die "there is no diptych on the path: . .venv/bin/activate"
    own="$(sed -n '1s/^#!\(\/[^ ]*python[^ ]*\)$/\1/p' "$script")"
    [[ -n "$own" ]] || return 0
    own="$("$own" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" || return 0
    way_out="launch from a clone of its own, made ready with make install-gcp PYTHON=python$image"
    [[ "$own" == "$image" ]] || die "$script runs Python $own, the workers $image: $way_out"
}

bucket="gs://${options[bucket]}" region="${options[region]}"
image="$region-docker.pkg.dev/${options[project]}/diptych/worker:${options[tag]}"
worker="diptych-worker@${options[project]}.iam.gserviceaccount.com"
root="$bucket/runs/${options[name]}"
subnet="regions/$region/subnetworks/${options[subnet]}"
[[ "${options[data]}" == gs://* ]] || die "--data=${options[data]} is not in a bucket: upload it, see the README"
[[ "${options[max_workers]}" =~ ^[1-9][0-9]*$ ]] || die "--max_workers=${options[max_workers]} is not a number"
IFS=';' read -r -a fields <<<"${optional[fields]}"

if [[ "${options[with]}" == template ]]; then
    [[ -z "${optional[hourly_cost]}${optional[stall_alarm]}" ]] ||
        die "--hourly_cost and --stall_alarm are for --with=command: with a template, Dataflow's page shows the job"
    # gcloud takes what stands between the first two ^ for the separator.
    parameters="^|^data=${options[data]}|root=$root|preset=${options[preset]}|sdk_container_image=$image"
    parameters+="|sdk_location=container|number_of_worker_harness_threads=2"
    [[ -z "${optional[fields]}" ]] || parameters+="|fields=${optional[fields]}"
    price=(--flexrs-goal=COST_OPTIMIZED)
    [[ -z "${switches[now]}" ]] || price=()
    run gcloud dataflow flex-template run "diptych-${options[name]}-$(date +%Y%m%d-%H%M%S)" \
        --project="${options[project]}" --region="$region" \
        --template-file-gcs-location="$bucket/templates/diptych-ingest-${options[tag]}.json" \
        --service-account-email="$worker" --disable-public-ips --subnetwork="$subnet" \
        --temp-location="$bucket/beam/temp" --staging-location="$bucket/beam/staging" \
        --worker-machine-type="${options[machine]}" --max-workers="${options[max_workers]}" "${price[@]}" \
        --parameters="$parameters"
elif [[ "${options[with]}" == command ]]; then
    flags=(--runner=DataflowRunner --project="${options[project]}" --region="$region"
        --temp_location="$bucket/beam/temp" --staging_location="$bucket/beam/staging"
        --sdk_container_image="$image" --sdk_location=container
        --service_account_email="$worker" --no_use_public_ips --subnetwork="$subnet"
        --worker_machine_type="${options[machine]}" --max_num_workers="${options[max_workers]}"
        --number_of_worker_harness_threads=2 --disk_size_gb=50)
    [[ -n "${switches[now]}" ]] || flags+=(--flexrs_goal=COST_OPTIMIZED)
    printf -v beam '"%s", ' "${flags[@]}"
    beam="[${beam%, }]"
    told=()
    [[ -z "${optional[stall_alarm]}" ]] || told+=(--stall-alarm="${optional[stall_alarm]}")
    if [[ -n "${optional[hourly_cost]}" ]]; then
        for stage in AudioExampleGen StatisticsGen; do
            told+=(--hourly-cost="$stage=${optional[hourly_cost]}")
        done
    fi
    [[ -n "$dry_run" ]] || check_python
    run diptych run --preset="${options[preset]}" --until=StatisticsGen --data="${options[data]}" --root="$root" \
        --metadata="${optional[metadata]:-${options[name]}.sqlite}" "${told[@]}" "${fields[@]}" \
        audio_example_gen.beam_args="$beam" statistics_gen.beam_args="$beam"
else
    die "--with=${options[with]} is neither command nor template"
fi
