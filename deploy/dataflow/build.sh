#!/usr/bin/env bash
# Builds the image of the workers with Docker, pushes it, and writes the flex template that names it.
#
#   deploy/dataflow/build.sh --project=my-project --bucket=my-bucket --tag=1
#
# --project=NAME    the project, prepared by setup.sh
# --bucket=NAME     the bucket; the template becomes gs://BUCKET/templates/diptych-ingest-TAG.json
# --tag=TAG         the tag of the image; a new one for each build
# --region=NAME     of the registry (default: europe-west4)
# --dry_run         print the commands and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"

declare -A options=([project]='' [bucket]='' [tag]='' [region]=europe-west4)
parse_options "$@"

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
registry="${options[region]}-docker.pkg.dev"
image="$registry/${options[project]}/diptych/worker:${options[tag]}"

run gcloud auth configure-docker "$registry" --quiet
run docker build --file "$repository/deploy/dataflow/Dockerfile" --tag "$image" "$repository"
run docker push "$image"
run gcloud dataflow flex-template build "gs://${options[bucket]}/templates/diptych-ingest-${options[tag]}.json" \
    --project="${options[project]}" --image="$image" --sdk-language=PYTHON \
    --metadata-file="$repository/deploy/dataflow/template.json"
