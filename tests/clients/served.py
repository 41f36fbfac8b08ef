"""A served API as the scenarios of this folder reach it: a client with its keys, waiting, refusals."""
import json
import time
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError


def client(endpoint, credentials, region="us-east-1", **more):
    """A client of CodePipeline with the keys of a credentials file."""
    keys = {}
    for line in open(credentials):
        name, _, value = line.partition("=")
        keys[name.strip()] = value.strip()
    return boto3.client("codepipeline", endpoint_url=endpoint, region_name=region,
                        aws_access_key_id=keys["aws_access_key_id"],
                        aws_secret_access_key=keys["aws_secret_access_key"], **more)


def extension(cp, operation, **arguments):
    """The answer of an operation of Penstock's own, which no SDK knows: botocore signs it all the same."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Penstock_20261124." + operation}
    request = AWSRequest("POST", cp.meta.endpoint_url + "/", headers, json.dumps(arguments).encode())
    SigV4Auth(cp._request_signer._credentials, "codepipeline", cp.meta.region_name).add_auth(request)
    request = urllib.request.Request(request.url, request.data, dict(request.headers), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def kind(category, provider, owner="AWS", version="1"):
    return {"category": category, "owner": owner, "provider": provider, "version": version}


def wait(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("timed out waiting for " + what.__name__)


def refused(code, call, **arguments):
    """The message of a call that is refused so."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error)
        assert error.response["ResponseMetadata"]["RequestId"], error.response
        return error.response["Error"]["Message"]
    raise AssertionError("expected " + code)
