"""The five webhook operations as an unmodified boto3 sees them, and deliveries over HTTP.

Usage: boto3_webhooks.py ENDPOINT CREDENTIALS_FILE
Exits with 0 when everything held; an AssertionError says what did not.
"""
import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request

from served import client, kind, refused, wait

endpoint, credentials = sys.argv[1:3]
cp = client(endpoint, credentials)
SECRET = "a secret of this webhook"


def deliver(url, body, **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json", **sent})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def signed(body, digest="sha256"):
    return digest + "=" + hmac.new(SECRET.encode(), body, digest).hexdigest()


def executions():
    """But the one that the pipeline's creation started."""
    found = cp.list_pipeline_executions(pipelineName="hooked")["pipelineExecutionSummaries"]
    return [execution for execution in found if execution["trigger"]["triggerType"] != "CreatePipeline"]


cp.create_pipeline(pipeline={
    "name": "hooked", "roleArn": "arn:aws:iam::123456789012:role/ship",
    "artifactStore": {"type": "S3", "location": "store"},
    "stages": [
        {"name": "Source", "actions": [{
            "name": "Fetch", "actionTypeId": kind("Source", "GitHub", "ThirdParty"),
            "configuration": {"Owner": "ada", "Repo": "shop", "Branch": "main", "OAuthToken": "t"},
            "outputArtifacts": [{"name": "Src"}]}]},
        {"name": "Check", "actions": [{"name": "Decide", "actionTypeId": kind("Approval", "Manual")}]}]})


def webhook(**changes):
    return {"name": "hook", "targetPipeline": "hooked", "targetAction": "Fetch",
            "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{Branch}"}],
            "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": SECRET}, **changes}


# PutWebhook and its errors.
put = cp.put_webhook(webhook=webhook(), tags=[{"key": "team", "value": "a"}])["webhook"]
assert put["arn"] == "arn:aws:codepipeline:us-east-1:123456789012:webhook:hook", put
assert put["definition"]["filters"] == webhook()["filters"] and SECRET not in json.dumps(put), put
refused("PipelineNotFoundException", cp.put_webhook, webhook=webhook(targetPipeline="none"))
refused("ValidationException", cp.put_webhook, webhook=webhook(targetAction="Decide"))
refused("InvalidWebhookFilterPatternException", cp.put_webhook, webhook=webhook(filters=[{"jsonPath": "ref"}]))
refused("InvalidWebhookFilterPatternException", cp.put_webhook,
        webhook=webhook(filters=[{"jsonPath": "$.ref", "matchEquals": "{Nothing}"}]))
refused("InvalidWebhookAuthenticationParametersException", cp.put_webhook,
        webhook=webhook(authenticationConfiguration={}))
refused("InvalidWebhookAuthenticationParametersException", cp.put_webhook,
        webhook=webhook(authentication="IP", authenticationConfiguration={"AllowedIPRange": "none"}))
refused("InvalidTagsException", cp.put_webhook, webhook=webhook(), tags=[{"key": "aws:x", "value": ""}])
print("held: put")

# Deliveries: a forged one, one of another branch, one that starts the pipeline, and that again.
commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
pushed = lambda branch: json.dumps({"ref": "refs/heads/" + branch, "before": "0" * 40, "after": commit, "commits": [],
                                    "head_commit": {"id": commit, "message": "m"}}).encode()
body = pushed("main")
assert deliver(put["url"], body, x_hub_signature_256=signed(b"other")) == 401
assert deliver(put["url"], body, x_hub_signature_256=signed(b"other"), x_hub_signature=signed(body, "sha1")) == 401
assert deliver(put["url"], pushed("topic"), x_hub_signature_256=signed(pushed("topic")), x_github_event="push") == 200
for _ in range(2):
    assert deliver(put["url"], body, x_hub_signature=signed(body, "sha1"), x_github_event="push") == 200
assert deliver(endpoint + "/webhooks/" + "0" * 32, body) == 404
wait(executions)
trigger = executions()[0]["trigger"]
assert trigger == {"triggerType": "Webhook", "triggerDetail": put["arn"]}, trigger
assert len(executions()) == 1
print("held: deliveries")

# ListWebhooks: pages, tags, when it was last triggered, and what registration needs.
cp.put_webhook(webhook=webhook(name="open", authentication="UNAUTHENTICATED", authenticationConfiguration={}))
pages = list(cp.get_paginator("list_webhooks").paginate(PaginationConfig={"PageSize": 1}))
listed = [item for page in pages for item in page["webhooks"]]
assert [item["definition"]["name"] for item in listed] == ["hook", "open"] and len(pages) == 2
assert listed[0]["lastTriggered"] and listed[0]["tags"] == [{"key": "team", "value": "a"}], listed[0]
refused("InvalidNextTokenException", cp.list_webhooks, NextToken="x")
cp.register_webhook_with_third_party(webhookName="hook")
assert put["url"] in cp.list_webhooks()["webhooks"][0]["errorMessage"]
cp.deregister_webhook_with_third_party(webhookName="hook")
assert "errorMessage" not in cp.list_webhooks()["webhooks"][0]
refused("WebhookNotFoundException", cp.register_webhook_with_third_party, webhookName="none")
refused("WebhookNotFoundException", cp.deregister_webhook_with_third_party, webhookName="none")
print("held: listing and registration")

# A change keeps the URL; whoever is made anew has another.
assert cp.put_webhook(webhook=webhook())["webhook"]["url"] == put["url"]
cp.delete_webhook(name="hook")
cp.delete_webhook(name="hook")
assert deliver(put["url"], body, x_hub_signature_256=signed(body)) == 404
assert cp.put_webhook(webhook=webhook())["webhook"]["url"] != put["url"]
print("held: deletion")
