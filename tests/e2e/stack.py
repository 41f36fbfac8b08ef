"""A deployed stack as its users reach it: CodePipeline's API behind a Function URL, the bus, buckets, and links."""
import io
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import boto3
from botocore.config import Config

WAIT_SECONDS = 90


class Stack:
    """Outputs of the stack, and clients of the emulator it runs in."""

    def __init__(self, outputs, endpoint):
        self.outputs = outputs
        self.endpoint = endpoint.rstrip("/")
        common = {
            "endpoint_url": self.endpoint, "region_name": "us-east-1",
            "aws_access_key_id": "test", "aws_secret_access_key": "test",
        }
        self.client = lambda service, **more: boto3.client(service, **{**common, **more})
        self.s3 = self.client("s3")
        self.sqs = self.client("sqs")
        self.events = self.client("events")
        self.bucket = outputs["ArtifactBucketName"]
        self.role = outputs["PipelineRoleArn"]
        self.pipelines = self.client(
            "codepipeline", endpoint_url=self.through(outputs["ApiUrl"]), config=Config(retries={"max_attempts": 6}))

    def through(self, url):
        """A Function URL's name resolves nowhere here: the emulator takes it in the path."""
        name = urllib.parse.urlsplit(url)
        return f"{self.endpoint}/_aws/lambda-url/{name.netloc.split('.')[0]}{name.path}".rstrip("/")

    def open(self, url, data=None, headers=None):
        """GET, or POST of a form: status and text."""
        body = urllib.parse.urlencode(data).encode() if isinstance(data, dict) else data
        request = urllib.request.Request(self.through(url), data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def extension(self, operation, **given):
        """An operation of Penstock's own."""
        target = f"Penstock_20261124.{operation}"
        headers = {
            "X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261124/us-east-1/lambda/aws4_request, "
                             "SignedHeaders=host, Signature=0",
        }
        status, text = self.open(self.outputs["ApiUrl"], json.dumps(given).encode(), headers)
        assert status == 200, (operation, status, text)
        return json.loads(text)

    def listen(self, name):
        """A queue that gets every public event from now on."""
        queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"source": ["penstock.codepipeline"], "detail-type": [{"prefix": "CodePipeline"}]})
        self.events.put_rule(Name=name, EventBusName=self.outputs["EventBusName"], EventPattern=pattern)
        self.events.put_targets(Rule=name, EventBusName=self.outputs["EventBusName"], Targets=[{"Id": "q", "Arn": arn}])
        return Listener(self, queue)

    def dead_letters(self):
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.outputs["DeadLetterQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def until(self, what, look, seconds=WAIT_SECONDS):
        """What `look` returns once it is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what}")

    def status(self, pipeline, execution):
        found = self.pipelines.get_pipeline_execution(pipelineName=pipeline, pipelineExecutionId=execution)
        return found["pipelineExecution"]["status"]

    def until_status(self, pipeline, execution, *wanted, seconds=WAIT_SECONDS):
        def look():
            status = self.status(pipeline, execution)
            if status in wanted:
                return status
            ended = status in ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")
            assert not ended, (status, self.actions(pipeline, execution))
            return None
        return self.until(f"{pipeline} {execution} {wanted}", look, seconds)

    def link(self, pipeline, execution, stage, name):
        """A signed link to an approval, once that waits."""
        def look():
            failed = [found for found in self.actions(pipeline, execution) if found["status"] == "Failed"]
            assert not failed, failed
            waits = [found for found in self.actions(pipeline, execution)
                     if (found["stageName"], found["actionName"], found["status"]) == (stage, name, "InProgress")]
            if not waits:
                return None
            try:
                return self.extension(
                    "GetApprovalLink", pipelineName=pipeline, stageName=stage, actionName=name,
                    pipelineExecutionId=execution, recipient="ann@example.com")["url"]
            except AssertionError:
                return None  # not claimed yet
        return self.until("a pending approval", look)

    def actions(self, pipeline, execution):
        pages = self.pipelines.get_paginator("list_action_executions").paginate(
            pipelineName=pipeline, filter={"pipelineExecutionId": execution})
        return [detail for page in pages for detail in page["actionExecutionDetails"]]

    def executions(self, pipeline):
        pages = self.pipelines.get_paginator("list_pipeline_executions").paginate(pipelineName=pipeline)
        summaries = [summary for page in pages for summary in page["pipelineExecutionSummaries"]]
        return [summary for summary in summaries if summary["trigger"]["triggerType"] != "CreatePipeline"]

    def declare(self, name, stages, **more):
        """A pipeline over the stack's own bucket and role."""
        declaration = {
            "name": name, "roleArn": self.role, "pipelineType": "V2",
            "artifactStore": {"type": "S3", "location": self.bucket}, "stages": stages, **more,
        }
        made = self.pipelines.create_pipeline(pipeline=declaration)["pipeline"]
        self.end_the_first(name)
        return made

    def end_the_first(self, name):
        """The execution that the creation started is not what a scenario is about: it is ended."""
        [first] = self.pipelines.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        execution = first["pipelineExecutionId"]
        try:
            self.pipelines.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=execution, abandon=True)
        except self.pipelines.exceptions.PipelineExecutionNotStoppableException:
            pass  # it has ended
        self.until("the end of the first execution", lambda: self.status(name, execution) in ("Stopped", "Failed"))


class Listener:
    """The public events of a time, in order of arrival."""

    def __init__(self, stack, queue):
        self.stack, self.queue, self.seen = stack, queue, []

    def take(self):
        while True:
            got = self.stack.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            for message in got:
                self.seen.append(json.loads(message["Body"]))
                self.stack.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            if not got:
                return self.seen

    def of(self, execution):
        return [event for event in self.take() if event["detail"]["execution-id"] == execution]


def action(name, category, provider, configuration=None, inputs=(), outputs=(), **more):
    declared = {
        "name": name, "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "inputArtifacts": [{"name": given} for given in inputs],
        "outputArtifacts": [{"name": made} for made in outputs], **more,
    }
    if configuration:
        declared["configuration"] = configuration
    return declared


def s3_source(bucket, key="app.zip", poll="false", **more):
    configuration = {"S3Bucket": bucket, "S3ObjectKey": key, "PollForSourceChanges": poll}
    return action("Fetch", "Source", "S3", configuration, outputs=["App"], **more)


def archive(files):
    """A zip of some files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    return made.getvalue()


def connect():
    return Stack(json.loads(os.environ["PENSTOCK_TEST_STACK"]), os.environ["PENSTOCK_TEST_MINISTACK"])
