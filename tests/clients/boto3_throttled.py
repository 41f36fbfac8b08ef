"""A server that lets little through at a time: what boto3 sees with and without its own retries.

Usage: boto3_throttled.py ENDPOINT CREDENTIALS_FILE
Exits with 0 when everything held; an AssertionError says what did not.
"""
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, credentials = sys.argv[1:3]
keys = {}
for line in open(credentials):
    name, _, value = line.partition("=")
    keys[name.strip()] = value.strip()


def client(**retries):
    return boto3.client("codepipeline", endpoint_url=endpoint, region_name="us-east-1", config=Config(retries=retries),
                        aws_access_key_id=keys["aws_access_key_id"], aws_secret_access_key=keys["aws_secret_access_key"])


impatient = client(mode="standard", total_max_attempts=1)
refused = 0
for _ in range(40):
    try:
        impatient.list_pipelines()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ThrottlingException", error
        assert error.response["Error"]["Message"] == "Rate exceeded", error
        refused += 1
assert refused >= 10, "40 calls at once are more than a burst of 10: %d were refused" % refused
# Other operations have buckets of their own.
assert len(impatient.list_rule_types()["ruleTypes"]) == 6
patient = client(mode="standard", total_max_attempts=10)
retries = 0
for _ in range(10):
    answer = patient.list_pipelines()
    retries += answer["ResponseMetadata"]["RetryAttempts"]
assert retries > 0, "nothing was throttled"
print("held: retries")
