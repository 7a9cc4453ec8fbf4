#!/usr/bin/env bash
# Starts a training on a TPU, or continues one. The training outlives this command and the connection.
#
#   deploy/tpu/train.sh --project=my-project --zone=europe-west4-a --examples=gs://my-bucket/examples \
#       --output=gs://my-bucket/base
#
# --project=NAME    the project
# --zone=NAME       the zone of the TPU
# --examples=DIR    the examples that AudioExampleGen published, in a bucket of the region
# --output=DIR      for the model, the checkpoints and TensorBoard, in the bucket
# --type=TYPE       as for create.sh (default: v3-8)
# --name=NAME       of the TPU (default: diptych)
# --preset=NAME     the config to start from (default: base)
# --fields='FIELD=VALUE;FIELD=VALUE'   changed fields of the config
# --hourly_cost=COST     of the TPU, in any currency: train.log then says what the training will cost
# --stall_alarm=MINUTES  train.log says when there is no progress for so long (default: 15)
# --dry_run         print the command and do not run it

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"
source "$(dirname "${BASH_SOURCE[0]}")/shared.sh"

declare -A options=([project]='' [zone]='' [examples]='' [output]='' [type]=v3-8 [name]=diptych [preset]=base)
declare -A optional=([fields]='' [hourly_cost]='' [stall_alarm]='')
parse_options "$@"

name="${options[name]}"
[[ "${options[examples]}" == gs://* ]] || die "--examples=${options[examples]} is not in a bucket"
[[ "${options[output]}" == gs://* ]] || die "--output=${options[output]} is not in a bucket"
check_number hourly_cost
check_number stall_alarm
IFS=';' read -r -a fields <<<"${optional[fields]}"
for field in "${fields[@]}"; do
    [[ "$field" =~ ^[a-z_.0-9]+= ]] || die "--fields=${optional[fields]}: ${field@Q} is not of the form FIELD=VALUE"
done

command=(diptych/.venv/bin/diptych train --preset "${options[preset]}" --examples "${options[examples]}"
    --output "${options[output]}")
[[ -z "${optional[hourly_cost]}" ]] || command+=(--hourly-cost "${optional[hourly_cost]}")
[[ -z "${optional[stall_alarm]}" ]] || command+=(--stall-alarm "${optional[stall_alarm]}")
command+=(trainer.strategy=tpu)
if is_slice; then # The first machine connects to all of them by name.
    command=(env TPU_LOAD_LIBRARY=0 "${command[@]}" "trainer.tpu=$name")
fi
command+=("${fields[@]}")
# keep_training.sh has checked them before it asked for a TPU.
[[ -n "${DIPTYCH_KEEPS_TRAINING:-}" ]] || check_config "${options[preset]}" "${fields[@]}"
# A second start while the first one trains is refused by Diptych itself, because --output is leased.
run gcloud compute tpus tpu-vm ssh "$name" --project="${options[project]}" --zone="${options[zone]}" --worker=0 \
    --command="nohup setsid ${command[*]@Q} >>train.log 2>&1 </dev/null & echo started, see train.log"
