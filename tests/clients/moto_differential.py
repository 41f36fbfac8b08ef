"""The operations that moto has, answered by moto and by Penstock: every difference is known, and decided.

Usage: moto_differential.py ENDPOINT CREDENTIALS_FILE
Exits with 0 when no other difference was seen than those of DIFFERENCES, and each of them was.
"""
import json
import re
import sys

import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from served import client, kind

endpoint, credentials = sys.argv[1:3]

# What differs, who is right, and by what. "penstock" is right where the API model or the user guide says so.
DIFFERENCES = {
    "create twice": "the model documents PipelineNameInUseException; moto answers InvalidStructureException",
    "create with one stage": "both refuse with InvalidStructureException; only the wording differs",
    "get nobody": "both answer PipelineNotFoundException; only the wording differs",
    "create": "moto leaves out pipelineType and executionMode, and the empty lists and maps of actions that were not "
              "given; semantics.md 14 does not settle it, and GetPipeline's consumers expect them",
    "get": "as create",
    "list": "moto leaves out pipelineType and executionMode, which PipelineSummary has",
    "update": "as create",
    "update nobody": "moto answers ResourceNotFoundException, which UpdatePipeline does not document",
    "executions": "moto's executions never run, and know neither mode, type nor who started them",
    "tag nobody": "both refuse with ResourceNotFoundException; only the wording differs",
    "tag with a reserved key": "both refuse with InvalidTagsException; only the wording differs",
    "tag too often": "both refuse with TooManyTagsException; only the wording differs",
    "list with a wrong token": "moto ignores nextToken; the model documents InvalidNextTokenException",
}

moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
host, port = moto.get_host_and_port()
ours = client(endpoint, credentials)
also = dict(endpoint_url="http://%s:%d" % (host, port), region_name="us-east-1", aws_access_key_id="k",
            aws_secret_access_key="s")
theirs = boto3.client("codepipeline", **also)
boto3.client("iam", **also).create_role(RoleName="penstock", AssumeRolePolicyDocument=json.dumps({
    "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"},
                                            "Action": "sts:AssumeRole"}]}))


def declaration(stages=2):
    source = {"name": "Source", "actions": [{
        "name": "Fetch", "actionTypeId": kind("Source", "S3"), "outputArtifacts": [{"name": "Code"}],
        "configuration": {"S3Bucket": "in", "S3ObjectKey": "a.zip", "PollForSourceChanges": "false"}}]}
    deploy = {"name": "Ship", "actions": [{
        "name": "Upload", "actionTypeId": kind("Deploy", "S3"), "inputArtifacts": [{"name": "Code"}],
        "configuration": {"BucketName": "out", "Extract": "true"}}]}
    return {"name": "p", "roleArn": "arn:aws:iam::123456789012:role/penstock",
            "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": [source, deploy][:stages]}


ARN = "arn:aws:codepipeline:us-east-1:123456789012:p"
CALLS = [
    ("list when empty", "list_pipelines", {}),
    ("get nobody", "get_pipeline", {"name": "p"}),
    ("update nobody", "update_pipeline", {"pipeline": declaration()}),
    ("create with one stage", "create_pipeline", {"pipeline": declaration(1)}),
    ("create", "create_pipeline", {"pipeline": declaration(), "tags": [{"key": "a", "value": "1"}]}),
    ("create twice", "create_pipeline", {"pipeline": declaration()}),
    ("get", "get_pipeline", {"name": "p"}),
    ("list", "list_pipelines", {}),
    ("list with a wrong token", "list_pipelines", {"nextToken": "wrong"}),
    ("tags", "list_tags_for_resource", {"resourceArn": ARN}),
    ("tag", "tag_resource", {"resourceArn": ARN, "tags": [{"key": "b", "value": "2"}]}),
    ("tags again", "list_tags_for_resource", {"resourceArn": ARN}),
    ("untag", "untag_resource", {"resourceArn": ARN, "tagKeys": ["a"]}),
    ("tags at last", "list_tags_for_resource", {"resourceArn": ARN}),
    ("tag nobody", "tag_resource", {"resourceArn": ARN + "q", "tags": [{"key": "b", "value": "2"}]}),
    ("tag with a reserved key", "tag_resource", {"resourceArn": ARN, "tags": [{"key": "aws:b", "value": "2"}]}),
    ("tag too often", "tag_resource", {"resourceArn": ARN, "tags": [{"key": "k%d" % n, "value": ""} for n in range(51)]}),
    ("update", "update_pipeline", {"pipeline": declaration()}),
    ("start", "start_pipeline_execution", {"name": "p"}),
    ("executions", "list_pipeline_executions", {"pipelineName": "p"}),
    ("delete", "delete_pipeline", {"name": "p"}),
    ("delete nobody", "delete_pipeline", {"name": "p"}),
]


def answer(client, operation, arguments):
    try:
        found = getattr(client, operation)(**arguments)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    found.pop("ResponseMetadata")
    text = json.dumps(found, default=lambda at: "a time", sort_keys=True)
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an id", text))


seen = set()
for label, operation, arguments in CALLS:
    left, right = answer(ours, operation, arguments), answer(theirs, operation, arguments)
    if left != right:
        seen.add(label)
        assert label in DIFFERENCES, (label, left, right)
        print("differs:", label, "-", DIFFERENCES[label])
        if "--show" in sys.argv:
            print("  ours:  ", json.dumps(left)[:600], "\n  theirs:", json.dumps(right)[:600])
assert seen == set(DIFFERENCES), ("no longer different", set(DIFFERENCES) - seen)
moto.stop()
print("held: differences")
