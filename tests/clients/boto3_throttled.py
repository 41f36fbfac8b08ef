"""A server that lets little through at a time: what boto3 sees with and without its own retries.

Usage: boto3_throttled.py ENDPOINT CREDENTIALS_FILE
Exits with 0 when everything held; an AssertionError says what did not.
"""
import sys

from botocore.config import Config
from botocore.exceptions import ClientError

from served import client

endpoint, credentials = sys.argv[1:3]


def retrying(**retries):
    return client(endpoint, credentials, config=Config(retries=retries))


impatient = retrying(mode="standard", total_max_attempts=1)
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
patient = retrying(mode="standard", total_max_attempts=10)
retries = 0
for _ in range(10):
    answer = patient.list_pipelines()
    retries += answer["ResponseMetadata"]["RetryAttempts"]
assert retries > 0, "nothing was throttled"
print("held: retries")
