"""A deployed stack behind `penstock proxy`: clients that nobody here wrote, a function's handler beside the extension."""
import datetime
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.parse

import boto3
import botocore.model
from botocore.exceptions import ClientError

from scenario import bucket, invoke, main
from stack import action, archive, s3_source
from tls import Tls

PENSTOCK = os.environ["PENSTOCK_TEST_COMMAND"]
LAYER = pathlib.Path(__file__).parents[2] / "infra/proxy-layer"

# As AWS's guide has it, but for the parameter that makes it fail: no endpoint, no signing, no Penstock.
HANDLER = '''
import boto3

def handler(event, context):
    job = event["CodePipeline.job"]
    code_pipeline = boto3.client("codepipeline")
    if job["data"]["actionConfiguration"]["configuration"].get("UserParameters") == "fail":
        details = {"type": "JobFailed", "message": "as asked"}
        code_pipeline.put_job_failure_result(jobId=job["id"], failureDetails=details)
    else:
        code_pipeline.put_job_success_result(jobId=job["id"], outputVariables={"answer": "42"})
'''


def environment(**more):
    """This process's own, without what points elsewhere; with the emulator's keys."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PENSTOCK_"))}
    return {**plain, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true", **more}


def arguments(stack, connect=None):
    return [PENSTOCK, "proxy", "--url", stack.outputs["ApiUrl"], "--connect", connect or stack.endpoint]


class Proxy:
    """A running proxy to the stack."""

    def __init__(self, stack, connect=None, **more):
        given = environment(**more)
        self.process = subprocess.Popen(arguments(stack, connect), env=given, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        self.url = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(10) == 0, self.process.returncode

    def client(self, region="us-east-1", key="test"):
        return boto3.client("codepipeline", endpoint_url=self.url, region_name=region,
                            aws_access_key_id=key, aws_secret_access_key="test")


def refused(code, call, **given):
    try:
        call(**given)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response
    raise AssertionError(f"no {code}")


def declaration(stack, name):
    return {
        "name": name, "roleArn": stack.role, "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": stack.bucket},
        "stages": [{"name": "Source", "actions": [s3_source(f"{name}-source")]},
                   {"name": "Check", "actions": [action("Decide", "Approval", "Manual")]}],
    }


def boto3_in_either_protocol(stack, name):
    """boto3 makes a pipeline, lists it, and gets the service's errors by their AWS names, in JSON and in CBOR."""
    usual = botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS
    with Proxy(stack) as proxy:
        for protocol in ("json", "smithy-rpc-v2-cbor"):
            botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (protocol,)
            pipelines = proxy.client()
            assert pipelines.meta.service_model.resolved_protocol == protocol
            one = f"{name}-{protocol[:4]}"
            made = pipelines.create_pipeline(pipeline=declaration(stack, one))
            assert made["pipeline"]["name"] == one and made["pipeline"]["version"] == 1, made
            assert len(made["ResponseMetadata"]["RequestId"]) > 8, made
            pages = pipelines.get_paginator("list_pipelines").paginate()
            assert one in [found["name"] for page in pages for found in page["pipelines"]]
            error = refused("PipelineNotFoundException", pipelines.get_pipeline, name="none-of-that-name")
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 400, error
            refused("PipelineNameInUseException", pipelines.create_pipeline, pipeline=declaration(stack, one))
            refused("InvalidSignatureException", proxy.client(region="eu-west-1").list_pipelines)
            refused("UnrecognizedClientException", proxy.client(key="another").list_pipelines)
            pipelines.delete_pipeline(name=one)
            refused("PipelineNotFoundException", pipelines.get_pipeline, name=one)
    botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = usual


def the_aws_command_line(stack, name):
    """`penstock proxy -- aws …`: its output, its errors and its exit status are the AWS CLI's own."""
    cli = shutil.which("aws", path=os.path.dirname(sys.executable)) or "aws"

    def aws(*words):
        return subprocess.run([*arguments(stack), "--", cli, "codepipeline", *words, "--output", "json"],
                              env=environment(), capture_output=True, text=True, timeout=60)

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"pipeline": declaration(stack, name)}, file)
        file.flush()
        made = aws("create-pipeline", "--cli-input-json", f"file://{file.name}")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["pipeline"]["stages"][1]["name"] == "Check", made.stdout
    listed = aws("list-pipelines")
    assert name in [found["name"] for found in json.loads(listed.stdout)["pipelines"]], listed
    missing = aws("get-pipeline", "--name", "none-of-that-name")
    # One major version of the AWS CLI ends with 254, the other with 255.
    assert missing.returncode in (254, 255) and "(PipelineNotFoundException)" in missing.stderr, missing
    assert aws("delete-pipeline", "--name", name).returncode == 0


class Extensions:
    """Lambda's Extensions API, as far as a function's life goes: MiniStack has none."""

    def __init__(self):
        self.registered, self.ready, self.shutdown = [], threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, body, **headers):
                self.send_response(200)
                for header, value in headers.items():
                    self.send_header(header.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/2020-01-01/extension/register", (self.path, body)
                outer.registered.append((self.headers["Lambda-Extension-Name"], body))
                self.answer(b"{}", Lambda_Extension_Identifier="one")

            def do_GET(self):
                assert self.path == "/2020-01-01/extension/event/next", self.path
                assert self.headers["Lambda-Extension-Identifier"] == "one"
                outer.ready.set()
                outer.shutdown.wait()
                self.answer(json.dumps({"eventType": "SHUTDOWN", "shutdownReason": "spindown"}).encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


class Layer:
    """The layer as Lambda unpacks it, its extension started with the function's environment."""

    def __init__(self, stack, directory):
        opt = pathlib.Path(directory)
        for place, file in (("extensions", LAYER / "penstock-proxy"), ("bin", pathlib.Path(PENSTOCK))):
            (opt / place).mkdir()
            (opt / place / file.name).symlink_to(file)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.lambda_api = Extensions()
        # What MiniStack gives its functions; a Function URL's name resolves nowhere there.
        account = stack.role.split(":")[4]
        given = environment(
            AWS_ACCESS_KEY_ID=account, AWS_REGION="us-east-1", AWS_LAMBDA_RUNTIME_API=self.lambda_api.address,
            PENSTOCK_API_URL=stack.through(stack.outputs["ApiUrl"]), PENSTOCK_PROXY_PORT=str(self.port))
        self.process = subprocess.Popen([opt / "extensions/penstock-proxy"], env=given)

    def __enter__(self):
        assert self.lambda_api.ready.wait(20), "the extension did not become ready"
        return self

    def __exit__(self, *_):
        self.lambda_api.shutdown.set()
        assert self.process.wait(10) == 0, self.process.returncode


def python_function(stack, name, port):
    """A function whose handler is HANDLER; two lines of its environment are all that is Penstock's."""
    stack.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Handler="index.handler", Role=stack.role, Timeout=30,
        Code={"ZipFile": archive({"index.py": HANDLER})},
        Environment={"Variables": {"AWS_ENDPOINT_URL_CODEPIPELINE": f"http://127.0.0.1:{port}",
                                   "PENSTOCK_API_URL": stack.outputs["ApiUrl"]}})
    return name


def an_unmodified_handler(stack, name):
    """A Lambda action's handler, written for CodePipeline, answers its job through the extension: success and failure."""
    source = bucket(stack, f"{name}-source")
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"x": "y"}))
    with tempfile.TemporaryDirectory() as directory, Layer(stack, directory) as layer:
        assert layer.lambda_api.registered == [("penstock-proxy", {"events": ["SHUTDOWN"]})]
        worker = python_function(stack, name, layer.port)
        stack.declare(name, [
            {"name": "Source", "actions": [s3_source(source)]},
            {"name": "Good", "actions": [invoke("Count", worker, namespace="counted")]},
            {"name": "Bad", "actions": [invoke("Break", worker, "fail")]},
        ])
        execution = stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]
        stack.until_status(name, execution, "Failed")
        actions = {found["actionName"]: found for found in stack.actions(name, execution)}
        assert actions["Count"]["status"] == "Succeeded", actions["Count"]
        assert actions["Count"]["output"]["outputVariables"] == {"answer": "42"}, actions["Count"]
        told = actions["Break"]["output"]["executionResult"]["errorDetails"]
        assert told == {"code": "JobFailed", "message": "as asked"}, told


def over_tls(stack, name):
    """As to AWS itself: over TLS, to whoever holds a certificate that this machine trusts, and to nobody else."""
    with tempfile.TemporaryDirectory() as directory:
        tls = Tls(directory, urllib.parse.urlsplit(stack.endpoint).port)
        with Proxy(stack, tls.url, SSL_CERT_FILE=str(tls.certificate)) as proxy:
            refused("PipelineNotFoundException", proxy.client().get_pipeline, name=name)
        other = pathlib.Path(directory) / "other"
        other.mkdir()
        with Proxy(stack, tls.url, SSL_CERT_FILE=str(Tls(other, 1).certificate)) as proxy:
            error = refused("ServiceUnavailable", proxy.client().get_pipeline, name=name)
            assert "certificate" in error["Error"]["Message"], error


def a_profile_of_its_own(stack, name):
    """Credentials that a program gives, as profiles with roles and single sign-on do: no environment holds them. While
    they hold, it does no harm that the program cannot give others."""
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=2)
    keys = {"AccessKeyId": "given", "SecretAccessKey": "test", "SessionToken": "t", "Expiration": ends.isoformat()}
    with tempfile.TemporaryDirectory() as home:
        config, given = pathlib.Path(home) / "config", pathlib.Path(home) / "given"
        config.write_text(f"[profile giver]\ncredential_process = cat {given}\n")
        given.write_text(json.dumps({"Version": 1, **keys}))
        with Proxy(stack, AWS_CONFIG_FILE=str(config), AWS_PROFILE="giver", AWS_ACCESS_KEY_ID="") as proxy:
            as_given = boto3.client("codepipeline", endpoint_url=proxy.url, region_name="us-east-1",
                                    aws_access_key_id="given", aws_secret_access_key="test", aws_session_token="t")
            refused("PipelineNotFoundException", as_given.get_pipeline, name=name)
            refused("UnrecognizedClientException", proxy.client().list_pipelines)
            given.unlink()
            refused("PipelineNotFoundException", as_given.get_pipeline, name=name)


def the_doctor(stack, name):
    """`penstock doctor` finds a stack by its name, and says what is wrong with one that is not there."""
    def doctor(*words, **more):
        given = environment(AWS_ENDPOINT_URL=stack.endpoint, AWS_REGION="us-east-1", **more)
        ended = subprocess.run([PENSTOCK, "doctor", "--connect", stack.endpoint, *words], env=given,
                               capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stdout + ended.stderr

    # The emulator has alarms of its own making: what they say is told, whatever it is.
    status, text = doctor("--stack", "penstock")
    assert "is CREATE_COMPLETE" in text or "is UPDATE_COMPLETE" in text, text
    assert "answers and takes the signature" in text and "arn:aws:" in text, text
    assert status == 0 or "infra/redrive.md" in text, text
    status, text = doctor("--url", stack.outputs["ApiUrl"])
    assert status == 0 and "answers and takes the signature" in text, text
    status, text = doctor("--stack", name)
    assert status == 1 and name in text and "--url" in text, text
    status, text = doctor("--url", "https://aaaaaaaabbbbbbbbccccccccdddddddd.lambda-url.us-east-1.on.aws/")
    assert status == 1 and "mend" in text and "ApiUrl" in text, text
    status, text = doctor("--url", stack.outputs["ApiUrl"].replace("us-east-1", "eu-west-1"))
    assert "clients here sign for us-east-1" in text, text


SCENARIOS = [boto3_in_either_protocol, the_aws_command_line, an_unmodified_handler, over_tls, a_profile_of_its_own, the_doctor]


if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
