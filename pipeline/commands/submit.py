"""`diptych submit`: sends a compiled pipeline to Vertex AI Pipelines."""

import argparse

from pipeline.commands import exit_status

SUMMARY = "send a compiled pipeline to Vertex AI Pipelines"

DESCRIPTION = """\
Sends what `diptych compile` wrote to Vertex AI Pipelines, and returns as soon as it is accepted. It also sends a
digest of your audio's names, sizes and checksums, so that unchanged audio is not decoded again and changed audio is."""

EPILOG = """\
examples:
  diptych submit pipeline.yaml --project my-project --region europe-west4 --root gs://my-bucket/diptych \\
      --service-account diptych-runner@my-project.iam.gserviceaccount.com
  diptych submit pipeline.yaml --project my-project --region europe-west4 --dry-run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("pipeline", metavar="FILE", help="the file that `diptych compile` wrote")
    parser.add_argument("--project", required=True, metavar="NAME", help="the project of Google Cloud")
    parser.add_argument("--region", required=True, metavar="NAME", help="the region of Vertex AI, e.g. europe-west4")
    parser.add_argument(
        "--root",
        default="",
        metavar="DIR",
        help="gs:// folder for all that is written (default: the compiled one)",
    )
    parser.add_argument("--service-account", metavar="EMAIL", help="who the steps run as (default: Compute Engine's)")
    parser.add_argument("--no-caching", action="store_true", help="run all steps, even those that nothing changed")
    parser.add_argument(
        "--dry-run",
        "--dry_run",
        action="store_true",
        help="print the job that would be sent, then stop; nothing is sent, and no bucket is read",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Sends or prints the job and returns the exit status.

    Raises:
        UserError: The arguments do not fit, a package is not installed, or Google refuses.
    """
    # Imported here so that `diptych --help` and the messages about wrong arguments stay fast.
    import json

    from pipeline import paths
    from pipeline.vertex import packages

    packages.check("kfp", "google.cloud.aiplatform", command="submit")
    # Imported here because most users have neither package.
    from pipeline.vertex import submitting

    job = submitting.job(
        paths.absolute(arguments.pipeline),
        project=arguments.project,
        region=arguments.region,
        root=paths.absolute(arguments.root) if arguments.root else "",
        caching=not arguments.no_caching,
        is_sent=not arguments.dry_run,
    )
    if arguments.dry_run:
        print(json.dumps(job.to_dict() | {"serviceAccount": arguments.service_account or ""}, indent=2))
        return exit_status.OK
    with submitting.errors(arguments.region):
        job.submit(service_account=arguments.service_account)
    print(f"Sent {job.resource_name}.")
    return exit_status.OK
