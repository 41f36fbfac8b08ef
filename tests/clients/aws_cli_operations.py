"""Every operation, as the unmodified AWS command line calls it: its own options, its own pages, its own exit statuses.

Usage: aws_cli_operations.py ENDPOINT CREDENTIALS_FILE
The command line runs inside this process: it takes a second to start, and is called a hundred times.
Exits with 0 when everything held; an AssertionError says what did not.
"""
import contextlib
import io
import json
import os
import sys

endpoint, credentials = sys.argv[1:3]
os.environ.update(AWS_SHARED_CREDENTIALS_FILE=credentials, AWS_DEFAULT_REGION="us-east-1",
                  AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)

from awscli.clidriver import create_clidriver
from botocore import xform_name

from served import kind, wait

ACCOUNT = "123456789012"
ARN = "arn:aws:codepipeline:us-east-1:%s:" % ACCOUNT
NOBODY = "00000000-0000-0000-0000-000000000000"
NO_FAILURE = {"type": "JobFailed", "message": "no"}
# Options that the command line names otherwise, as `--version` is its own.
RENAMED = {("get-pipeline", "version"): "pipeline-version",
           **{(command, "version"): "action-version"
              for command in ("create-custom-action-type", "delete-custom-action-type", "get-action-type")}}
driver = create_clidriver()
called = set()


def run(command, options):
    """The exit status and both outputs of one call."""
    words = ["codepipeline", command, "--endpoint-url", endpoint, "--output", "json"]
    for name, value in options.items():
        option = "--" + RENAMED.get((command, name), xform_name(name, "-"))
        if value is True:
            words.append(option)
        else:
            words += [option, value if isinstance(value, str) else json.dumps(value)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = driver.main(words)
        except SystemExit as ended:
            status = ended.code
    called.add(command)
    return status, out.getvalue(), err.getvalue()


def aws(command, **options):
    status, out, err = run(command, options)
    assert status == 0, (command, options, status, err)
    return json.loads(out) if out.strip() else {}


def refused(code, command, **options):
    status, _, err = run(command, options)
    assert status in (254, 255) and "(%s)" % code in err, (command, options, status, err)
    return err


def commands(name, *lines, **more):
    return dict({"name": name, "actionTypeId": kind("Compute", "Commands"), "commands": list(lines),
                 "inputArtifacts": [{"name": "Code"}]}, **more)


def declaration(name, *stages, **more):
    source = {"name": "Source", "actionTypeId": kind("Source", "CodeStarSourceConnection"), "namespace": "Src",
              "configuration": {"ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555",
                                "FullRepositoryId": "g/p", "BranchName": "main"},
              "outputArtifacts": [{"name": "Code"}]}
    return dict({"name": name, "roleArn": "arn:aws:iam::%s:role/penstock" % ACCOUNT, "pipelineType": "V2",
                 "executionMode": "QUEUED", "artifactStore": {"type": "S3", "location": "artifacts"},
                 "stages": [{"name": "Source", "actions": [source]}, *stages]}, **more)


def status(name, execution):
    return aws("get-pipeline-execution", pipelineName=name, pipelineExecutionId=execution)["pipelineExecution"]["status"]


def created(pipeline):
    """Creates a pipeline; the execution that this starts."""
    made = aws("create-pipeline", pipeline=pipeline)
    assert made["pipeline"]["version"] == 1, made
    [only] = aws("list-pipeline-executions", pipelineName=pipeline["name"])["pipelineExecutionSummaries"]
    assert only["trigger"]["triggerType"] == "CreatePipeline", only
    return only["pipelineExecutionId"]


def action_types():
    counts = {"minimumCount": 0, "maximumCount": 1}
    where = dict(category="Build", provider="Builder", version="1")
    made = aws("create-custom-action-type", **where, inputArtifactDetails=counts, outputArtifactDetails=counts,
               configurationProperties=[{"name": "Project", "required": True, "key": True, "secret": False,
                                         "queryable": True, "type": "String"}])
    assert made["actionType"]["id"] == kind("Build", "Builder", "Custom"), made
    refused("ActionTypeAlreadyExistsException", "create-custom-action-type", **where, inputArtifactDetails=counts,
            outputArtifactDetails=counts)
    own = aws("list-action-types", actionOwnerFilter="Custom")["actionTypes"]
    assert made["actionType"] in own, own
    # The command line goes through all pages by itself.
    assert len(aws("list-action-types")["actionTypes"]) == 42
    aws("create-custom-action-type", category="Test", provider="Gone", version="1", inputArtifactDetails=counts,
        outputArtifactDetails=counts)
    aws("delete-custom-action-type", category="Test", provider="Gone", version="1")
    assert len(aws("list-action-types")["actionTypes"]) == 42
    snyk = kind("Invoke", "Snyk", "ThirdParty")
    found = aws("get-action-type", **snyk)
    assert found["actionType"]["executor"]["type"] == "JobWorker", found
    aws("update-action-type", actionType=dict(found["actionType"], description="Scans"))
    assert aws("get-action-type", **snyk)["actionType"]["description"] == "Scans"
    rules = {rule["id"]["provider"] for rule in aws("list-rule-types", ruleOwnerFilter="AWS")["ruleTypes"]}
    assert rules >= {"VariableCheck", "DeploymentWindow", "LambdaInvoke"}, rules


def pipelines():
    made = aws("create-pipeline", pipeline=declaration("tagged", {"name": "Build", "actions": [commands("Run", "true")]}),
               tags=[{"key": "a", "value": "1"}])
    assert made["tags"] == [{"key": "a", "value": "1"}], made
    changed = aws("update-pipeline", pipeline=declaration("tagged", {"name": "Make", "actions": [commands("Run", "true")]}))
    assert changed["pipeline"]["version"] == 2, changed
    names = lambda version: [s["name"] for s in aws("get-pipeline", name="tagged", version=version)["pipeline"]["stages"]]
    assert (names("1"), names("2")) == (["Source", "Build"], ["Source", "Make"])
    refused("PipelineVersionNotFoundException", "get-pipeline", name="tagged", version="3")
    [listed] = aws("list-pipelines")["pipelines"]
    assert (listed["name"], listed["version"], listed["executionMode"]) == ("tagged", 2, "QUEUED"), listed
    arn = ARN + "tagged"
    aws("tag-resource", resourceArn=arn, tags=[{"key": "b", "value": "2"}, {"key": "c", "value": ""}])
    aws("untag-resource", resourceArn=arn, tagKeys=["a", "c"])
    assert aws("list-tags-for-resource", resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    refused("PipelineNameInUseException", "create-pipeline", pipeline=changed["pipeline"])


def transitions():
    where = dict(pipelineName="tagged", stageName="Make", transitionType="Inbound")
    aws("disable-stage-transition", **where, reason="frozen")
    held = aws("start-pipeline-execution", name="tagged")["pipelineExecutionId"]
    make = lambda: aws("get-pipeline-state", name="tagged")["stageStates"][1]
    wait(lambda: make().get("inboundExecution", {}).get("pipelineExecutionId") == held)
    assert make()["inboundTransitionState"]["disabledReason"] == "frozen", make()
    aws("stop-pipeline-execution", pipelineName="tagged", pipelineExecutionId=held, abandon=True, reason="enough")
    wait(lambda: status("tagged", held) == "Stopped")
    refused("PipelineExecutionNotStoppableException", "stop-pipeline-execution", pipelineName="tagged",
            pipelineExecutionId=held)
    aws("enable-stage-transition", **where)
    state = make()["inboundTransitionState"]
    assert state["enabled"] and "disabledReason" not in state and state["lastChangedBy"], state
    revision = {"revisionId": "main", "revisionChangeId": "c", "created": "2026-11-24T06:00:00Z"}
    where = dict(pipelineName="tagged", stageName="Source", actionName="Source", actionRevision=revision)
    first, again = aws("put-action-revision", **where), aws("put-action-revision", **where)
    assert (first["newRevision"], again["newRevision"]) == (True, False), (first, again)
    assert first["pipelineExecutionId"] == again["pipelineExecutionId"], (first, again)
    shown = aws("get-pipeline-execution", pipelineName="tagged", pipelineExecutionId=first["pipelineExecutionId"])
    assert shown["pipelineExecution"]["trigger"]["triggerType"] == "PutActionRevision", shown


def taken():
    """A job, acknowledged."""
    job = wait(lambda: next(iter(aws("poll-for-jobs", actionTypeId=kind("Build", "Builder", "Custom"), maxBatchSize="1",
                                     queryParam={"Project": "web"}).get("jobs", [])), None))
    assert aws("acknowledge-job", jobId=job["id"], nonce=job["nonce"]) == {"status": "InProgress"}
    details = aws("get-job-details", jobId=job["id"])["jobDetails"]
    assert details["accountId"] == ACCOUNT and details["id"] == job["id"], details
    assert details["data"]["actionConfiguration"]["configuration"] == {"Project": "web"}, details
    return job


def made():
    states = aws("get-pipeline-state", name="built")["stageStates"][1]["actionStates"]
    return states[0].get("latestExecution", {})


def jobs():
    build = {"name": "Build", "actions": [{
        "name": "Make", "actionTypeId": kind("Build", "Builder", "Custom"), "namespace": "Made",
        "configuration": {"Project": "web"}, "inputArtifacts": [{"name": "Code"}]}]}
    approve = {"name": "Gate", "actions": [{
        "name": "Approve", "actionTypeId": kind("Approval", "Manual"), "configuration": {"CustomData": "#{Made.Image}"}}]}
    execution = created(declaration("built", build, approve))
    job = taken()
    aws("put-job-failure-result", jobId=job["id"], failureDetails={"type": "JobFailed", "message": "told to fail"})
    wait(lambda: status("built", execution) == "Failed")
    assert made()["errorDetails"] == {"code": "JobFailed", "message": "told to fail"}, made()
    again = aws("retry-stage-execution", pipelineName="built", stageName="Build", pipelineExecutionId=execution,
                retryMode="FAILED_ACTIONS")
    assert again == {"pipelineExecutionId": execution}, again
    half = {"summary": "half", "externalExecutionId": "run-7", "percentComplete": 50}
    aws("put-job-success-result", jobId=taken()["id"], continuationToken="half", executionDetails=half)
    assert (made()["summary"], made()["externalExecutionId"], made()["percentComplete"]) == ("half", "run-7", 50), made()
    second = taken()
    assert second["data"]["continuationToken"] == "half", second
    aws("put-job-success-result", jobId=second["id"], outputVariables={"Image": "web:1"},
        executionDetails=dict(half, summary="done", percentComplete=100))
    assert (made()["status"], made()["percentComplete"]) == ("Succeeded", 100), made()
    refused("InvalidJobStateException", "put-job-success-result", jobId=second["id"])
    gate = lambda: aws("get-pipeline-state", name="built")["stageStates"][2]["actionStates"][0].get("latestExecution", {})
    token = wait(lambda: gate().get("token"))
    put = dict(pipelineName="built", stageName="Gate", actionName="Approve", result={"status": "Approved", "summary": "fine"})
    refused("InvalidApprovalTokenException", "put-approval-result", **put, token=NOBODY)
    assert aws("put-approval-result", **put, token=token)["approvedAt"]
    wait(lambda: status("built", execution) == "Succeeded")
    found = aws("list-action-executions", pipelineName="built", pageSize="2")["actionExecutionDetails"]
    assert [d["actionName"] for d in found] == ["Approve", "Make", "Make", "Source"], found
    assert found[0]["input"]["resolvedConfiguration"]["CustomData"] == "web:1", found[0]
    assert found[1]["output"]["outputVariables"] == {"Image": "web:1"}, found[1]


def third_party_jobs():
    assert aws("poll-for-third-party-jobs", actionTypeId=kind("Test", "BlazeMeter", "ThirdParty")) == {"jobs": []}
    where = dict(jobId=NOBODY, clientToken="t")
    refused("JobNotFoundException", "get-third-party-job-details", **where)
    refused("JobNotFoundException", "acknowledge-third-party-job", **where, nonce="1")
    refused("JobNotFoundException", "put-third-party-job-success-result", **where)
    refused("JobNotFoundException", "put-third-party-job-failure-result", **where, failureDetails=NO_FAILURE)


def conditions():
    rule = {"name": "OnMain", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": "#{Src.BranchName}", "Value": "#{variables.branch}", "Operator": "EQ"}}
    stage = {"name": "Build", "actions": [commands("Run", "true")],
             "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [rule]}]}}
    first = created(declaration("ruled", stage, variables=[{"name": "branch", "defaultValue": "main"}]))
    wait(lambda: status("ruled", first) == "Succeeded")
    started = aws("start-pipeline-execution", name="ruled", variables=[{"name": "branch", "value": "other"}])
    held = started["pipelineExecutionId"]
    wait(lambda: status("ruled", held) == "Failed")
    rules = aws("list-rule-executions", pipelineName="ruled", filter={"pipelineExecutionId": held})["ruleExecutionDetails"]
    assert [(r["ruleName"], r["status"]) for r in rules] == [("OnMain", "Failed")], rules
    aws("override-stage-condition", pipelineName="ruled", stageName="Build", pipelineExecutionId=held,
        conditionType="BEFORE_ENTRY")
    wait(lambda: status("ruled", held) == "Succeeded")
    back = aws("rollback-stage", pipelineName="ruled", stageName="Build", targetPipelineExecutionId=first)
    wait(lambda: status("ruled", back["pipelineExecutionId"]) == "Succeeded")
    shown = aws("get-pipeline-execution", pipelineName="ruled", pipelineExecutionId=back["pipelineExecutionId"])
    assert shown["pipelineExecution"]["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == first, shown
    succeeded = aws("list-pipeline-executions", pipelineName="ruled", filter={"succeededInStage": {"stageName": "Build"}})
    found = [e["pipelineExecutionId"] for e in succeeded["pipelineExecutionSummaries"]]
    assert found == [back["pipelineExecutionId"], held, first], found


def deploys():
    deploy = {"name": "Ship", "actions": [{
        "name": "Upload", "actionTypeId": kind("Deploy", "S3"), "inputArtifacts": [{"name": "Code"}],
        "configuration": {"BucketName": "out", "Extract": "true"}}]}
    execution = created(declaration("shipped", deploy))
    wait(lambda: status("shipped", execution) == "Succeeded")
    details = aws("list-action-executions", pipelineName="shipped")["actionExecutionDetails"]
    ids = {detail["actionName"]: detail["actionExecutionId"] for detail in details}
    [target] = aws("list-deploy-action-execution-targets", actionExecutionId=ids["Upload"])["targets"]
    assert (target["targetId"], target["targetType"], target["status"]) == ("out", "S3", "Succeeded"), target
    refused("ActionExecutionNotFoundException", "list-deploy-action-execution-targets", actionExecutionId=ids["Source"])


def webhooks():
    hooked = declaration("hooked", {"name": "Build", "actions": [commands("Run", "true")]})
    # Only webhooks of GitHub's first action can be registered.
    hooked["stages"][0]["actions"] = [{
        "name": "Fetch", "actionTypeId": kind("Source", "GitHub", "ThirdParty"), "outputArtifacts": [{"name": "Code"}],
        "configuration": {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "a-token"}}]
    shown = aws("create-pipeline", pipeline=hooked)["pipeline"]["stages"][0]["actions"][0]
    assert shown["configuration"]["OAuthToken"] == "****", shown
    hook = {"name": "hook", "targetPipeline": "hooked", "targetAction": "Fetch", "filters": [{"jsonPath": "$.ref"}],
            "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "a-secret-of-enough-bytes"}}
    put = aws("put-webhook", webhook=hook)["webhook"]
    assert put["arn"] == ARN + "webhook:hook" and put["url"].startswith("http"), put
    aws("register-webhook-with-third-party", webhookName="hook")
    [listed] = aws("list-webhooks")["webhooks"]
    assert listed["definition"]["authenticationConfiguration"] == {}, "the secret is not given back"
    aws("deregister-webhook-with-third-party", webhookName="hook")
    aws("delete-webhook", name="hook")
    assert aws("list-webhooks") == {"webhooks": []}


def deletion():
    for name in ("built", "hooked", "ruled", "shipped", "tagged", "tagged"):
        aws("delete-pipeline", name=name)
    assert aws("list-pipelines") == {"pipelines": []}
    assert "parameter" in run("get-pipeline", {})[2], "what the command line refuses by itself"


def everything():
    operations = driver.session.get_service_model("codepipeline").operation_names
    assert len(operations) == 44, operations
    missing = {xform_name(name, "-") for name in operations} - called
    assert not missing, missing


for part in (action_types, pipelines, transitions, jobs, third_party_jobs, conditions, deploys, webhooks, deletion, everything):
    part()
    print("held:", part.__name__)
