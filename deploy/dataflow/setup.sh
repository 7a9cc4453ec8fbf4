#!/usr/bin/env bash
# Prepares a Google Cloud project for the Beam jobs: APIs, a bucket, a registry for the image, and the rights
# of the workers' account and of who launches jobs. What exists already is kept, but the subnet gets access to Google's
# services without public addresses. It may be run again.
#
#   deploy/dataflow/setup.sh --project=my-project --bucket=my-bucket --launcher=user:me@example.com
#
# --project=NAME    the project
# --bucket=NAME     the bucket for audio, examples and Beam's temporary files, made in the region
# --launcher=WHO    who launches jobs: user:ADDRESS or serviceAccount:ADDRESS
# --region=NAME     where everything is (default: europe-west4)
# --subnet=NAME     the network of the workers, which have no public addresses (default: default)
# --dry_run         print the commands and run none

source "$(dirname "${BASH_SOURCE[0]}")/../script.sh"

declare -A options=([project]='' [bucket]='' [launcher]='' [region]=europe-west4 [subnet]=default)
parse_options "$@"

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
project="${options[project]}" bucket="gs://${options[bucket]}" region="${options[region]}"
launcher="${options[launcher]}"
[[ "$launcher" == user:*@* || "$launcher" == serviceAccount:*@* ]] ||
    die "--launcher=$launcher is neither user:ADDRESS nor serviceAccount:ADDRESS"
worker="diptych-worker@$project.iam.gserviceaccount.com"

run gcloud services enable --project="$project" artifactregistry.googleapis.com compute.googleapis.com \
    dataflow.googleapis.com iam.googleapis.com storage.googleapis.com

# The bucket. Deleted objects are otherwise kept, and paid for, for a week. Of a bucket that exists, the lifecycle is not
# touched: it may be another one's, and what lies under beam/ may be needed.
if finds gcloud storage buckets describe "$bucket" --project="$project"; then
    echo "$bucket exists: if it is Diptych's alone, let Beam's temporary files be deleted after a week with" \
        "$(quoted gcloud storage buckets update "$bucket" --lifecycle-file="$here/lifecycle.json")"
else
    run gcloud storage buckets create "$bucket" --project="$project" --location="$region" \
        --uniform-bucket-level-access --public-access-prevention --soft-delete-duration=0
    run gcloud storage buckets update "$bucket" --lifecycle-file="$here/lifecycle.json"
fi

# The registry of the image.
finds gcloud artifacts repositories describe diptych --project="$project" --location="$region" ||
    run gcloud artifacts repositories create diptych --project="$project" --location="$region" \
        --repository-format=docker

# Workers without public addresses reach Google's services through their subnet.
run gcloud compute networks subnets update "${options[subnet]}" --project="$project" --region="$region" \
    --enable-private-ip-google-access

# The workers: their work, the objects of this bucket, and the image.
finds gcloud iam service-accounts describe "$worker" --project="$project" ||
    run gcloud iam service-accounts create diptych-worker --project="$project" --display-name="Diptych's Beam workers"
run gcloud projects add-iam-policy-binding "$project" --condition=None \
    --member="serviceAccount:$worker" --role=roles/dataflow.worker
run gcloud storage buckets add-iam-policy-binding "$bucket" \
    --member="serviceAccount:$worker" --role=roles/storage.objectUser
run gcloud artifacts repositories add-iam-policy-binding diptych --project="$project" --location="$region" \
    --member="serviceAccount:$worker" --role=roles/artifactregistry.reader

# The launcher: jobs, the objects of this bucket, and acting as the workers' account alone.
run gcloud projects add-iam-policy-binding "$project" --condition=None \
    --member="$launcher" --role=roles/dataflow.developer
run gcloud storage buckets add-iam-policy-binding "$bucket" --member="$launcher" --role=roles/storage.objectUser
run gcloud storage buckets add-iam-policy-binding "$bucket" \
    --member="$launcher" --role=roles/storage.legacyBucketReader
run gcloud iam service-accounts add-iam-policy-binding "$worker" --project="$project" \
    --member="$launcher" --role=roles/iam.serviceAccountUser
run gcloud artifacts repositories add-iam-policy-binding diptych --project="$project" --location="$region" \
    --member="$launcher" --role=roles/artifactregistry.writer
