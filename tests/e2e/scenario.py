"""A deployed stack at work: sources, builds, functions, approvals, deploys, failures, and what the bus told of them."""
import hashlib
import hmac
import json
import sys
import time

from stack import action, archive, connect, s3_source

PASSED_FUNCTION = '''#!/usr/bin/env python3
"""A function that answers its job, as an unmodified handler does through the proxy; here by hand."""
import json, os, urllib.request

runtime = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{runtime}/next") as next:
        request, job = next.headers["Lambda-Runtime-Aws-Request-Id"], json.load(next)["CodePipeline.job"]
    user = job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "")
    if user == "fail":
        target, given = "PutJobFailureResult", {"failureDetails": {"type": "JobFailed", "message": "as asked"}}
    elif user == "twice" and "continuationToken" not in job["data"]:
        target, given = "PutJobSuccessResult", {"continuationToken": "more"}
    else:
        target, given = "PutJobSuccessResult", {"outputVariables": {"answer": "42"}}
    headers = {
        "X-Amz-Target": f"CodePipeline_20150709.{target}", "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261124/us-east-1/lambda/aws4_request, "
                         "SignedHeaders=host, Signature=0",
    }
    body = json.dumps({"jobId": job["id"], **given}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["API"], body, headers)).read()
    urllib.request.urlopen(urllib.request.Request(f"{runtime}/{request}/response", b"{}")).read()
'''


def bucket(stack, name, versioned=False):
    stack.s3.create_bucket(Bucket=name)
    if versioned:
        stack.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def function(stack, name):
    """A function in the emulator that answers jobs."""
    client = stack.client("lambda")
    code = archive({"bootstrap": PASSED_FUNCTION})
    client.create_function(
        FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Role=stack.role, Code={"ZipFile": code},
        Environment={"Variables": {"API": stack.through(stack.outputs["ApiUrl"])}}, Timeout=30)
    return name


def invoke(name, of, parameters="", **more):
    configuration = {"FunctionName": of, **({"UserParameters": parameters} if parameters else {})}
    return action(name, "Invoke", "Lambda", configuration, **more)


def the_main_job(stack, name):
    """An object arrives; two parallel actions; a person approves by link; the artifact is deployed."""
    source, site = bucket(stack, f"{name}-source", versioned=True), bucket(stack, f"{name}-site")
    stack.s3.put_bucket_notification_configuration(
        Bucket=source, NotificationConfiguration={"EventBridgeConfiguration": {}})
    stack.client("codebuild").create_project(
        name=name, source={"type": "CODEPIPELINE"}, artifacts={"type": "CODEPIPELINE"}, serviceRole=stack.role,
        environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"})
    worker = function(stack, name)
    listener = stack.listen(name)
    stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source)]},
        {"name": "Build", "actions": [
            action("Compile", "Build", "CodeBuild", {"ProjectName": name}, inputs=["App"]),
            invoke("Count", worker, namespace="counted"),
        ]},
        {"name": "Check", "actions": [action(
            "Decide", "Approval", "Manual", {"CustomData": "it counted #{counted.answer}"})]},
        {"name": "Ship", "actions": [
            action("Publish", "Deploy", "S3", {"BucketName": site, "Extract": "true"}, inputs=["App"])]},
    ])
    began, began_at = time.monotonic(), time.time()
    version = stack.s3.put_object(
        Bucket=source, Key="app.zip", Body=archive({"index.html": "<h1>one</h1>", "a/b.txt": "deep"}))["VersionId"]
    execution = stack.until("an execution that the object started", lambda: stack.executions(name))[0]
    print(f"   object to execution {time.monotonic() - began:.1f} s")
    assert execution["trigger"]["triggerType"] == "CloudWatchEvent", execution
    execution = execution["pipelineExecutionId"]
    link = stack.link(name, execution, "Check", "Decide")
    status, page = stack.open(link)
    assert status == 200 and "it counted 42" in page, (status, page)
    status, page = stack.open(link, {"decision": "approve", "summary": "fine"})
    assert status == 200, (status, page)
    status, page = stack.open(link, {"decision": "approve", "summary": "again"})
    assert status == 409 and "Already decided" in page, (status, page)
    stack.until_status(name, execution, "Succeeded")
    print(f"   object to end {time.monotonic() - began:.1f} s")
    assert stack.s3.get_object(Bucket=site, Key="index.html")["Body"].read() == b"<h1>one</h1>"
    assert stack.s3.get_object(Bucket=site, Key="a/b.txt")["Body"].read() == b"deep"
    actions = {found["actionName"]: found for found in stack.actions(name, execution)}
    assert actions["Fetch"]["output"]["outputVariables"]["VersionId"] == version, actions["Fetch"]
    assert actions["Count"]["output"]["outputVariables"] == {"answer": "42"}, actions["Count"]
    starts = {name: found["startTime"].timestamp() for name, found in actions.items()}
    ends = {name: found["lastUpdateTime"].timestamp() for name, found in actions.items()}
    after_source = min(starts["Compile"], starts["Count"]) - ends["Fetch"]
    print(f"   object to the first action's start {starts['Fetch'] - began_at:.2f} s; from an action's end to the next one's start: "
          f"{after_source:.2f} s after the source, {starts['Publish'] - ends['Decide']:.2f} s after the approval")
    told(stack, listener, execution, ["Source", "Build", "Check", "Ship"], ["Fetch", "Compile", "Count", "Decide", "Publish"])
    assert len(stack.executions(name)) == 1, "the object started the pipeline more than once"


def told(stack, listener, execution, stages, actions):
    """Every state change stands on the bus. (Delivery is at least once; that it is once without faults is counted by the
    functions' own tests, where nothing is slow.)"""
    def ended():
        events = listener.of(execution)
        return any(event["detail-type"] == "CodePipeline Pipeline Execution State Change"
                   and event["detail"]["state"] == "SUCCEEDED" for event in events)
    stack.until("the pipeline's end on the bus", ended)
    time.sleep(3)
    seen = []
    for event in listener.of(execution):
        detail = event["detail"]
        assert event["source"] == "penstock.codepipeline" and detail["version"] == 1.0, event
        seen.append((detail.get("action") or detail.get("stage") or "pipeline", detail["state"]))
    wanted = {(subject, state) for subject in ["pipeline", *stages, *actions] for state in ("STARTED", "SUCCEEDED")}
    assert set(seen) == wanted, sorted(set(seen) ^ wanted)
    if len(seen) != len(wanted):
        print(f"   told again: {sorted(one for one in set(seen) if seen.count(one) > 1)}")


def counting(stack, name, parameters):
    """Starts a pipeline whose one function is called so; its execution."""
    source = bucket(stack, f"{name}-source")
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"x": "y"}))
    worker = function(stack, name)
    stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source)]},
        {"name": "Build", "actions": [invoke("Count", worker, parameters)]},
    ])
    return stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]


def a_failure_and_its_retry(stack, name):
    """A function that fails its job; the stage is retried; what it says is told."""
    execution = counting(stack, name, "fail")
    stack.until_status(name, execution, "Failed")
    [failed] = [found for found in stack.actions(name, execution) if found["actionName"] == "Count"]
    assert failed["output"]["executionResult"]["errorDetails"] == {"code": "JobFailed", "message": "as asked"}, failed
    stack.pipelines.retry_stage_execution(
        pipelineName=name, stageName="Build", pipelineExecutionId=execution, retryMode="FAILED_ACTIONS")
    stack.until("two attempts", lambda: len(
        [found for found in stack.actions(name, execution)
         if found["actionName"] == "Count" and found["status"] == "Failed"]) == 2)
    stack.until_status(name, execution, "Failed")


def a_function_called_again(stack, name):
    """A function that answers with a continuation token is called again with it."""
    execution = counting(stack, name, "twice")
    stack.until_status(name, execution, "Succeeded", seconds=180)


def a_missing_object(stack, name):
    """What is not there is named."""
    source = bucket(stack, f"{name}-source")
    stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source, "none.zip")]},
        {"name": "Check", "actions": [action("Decide", "Approval", "Manual")]},
    ])
    execution = stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]
    stack.until_status(name, execution, "Failed")
    [failed] = stack.actions(name, execution)
    message = failed["output"]["executionResult"]["errorDetails"]["message"]
    assert source in message and "none.zip" in message, message


def stopping_and_superseding(stack, name):
    """One execution waits for approval, a second is superseded by a third; the first is stopped."""
    source = bucket(stack, f"{name}-source")
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"x": "y"}))
    stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source)]},
        {"name": "Check", "actions": [action("Decide", "Approval", "Manual")]},
    ])
    start = lambda: stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]
    first = start()
    stack.link(name, first, "Check", "Decide")
    second = start()

    def inbound(wanted):
        states = stack.pipelines.get_pipeline_state(name=name)["stageStates"]
        [check] = [state for state in states if state["stageName"] == "Check"]
        return check.get("inboundExecution", {}).get("pipelineExecutionId") == wanted

    stack.until("the second waits", lambda: inbound(second))
    third = start()
    stack.until_status(name, second, "Superseded")
    stack.until("the third waits", lambda: inbound(third))
    stack.pipelines.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=first, abandon=True, reason="enough")
    stack.until_status(name, first, "Stopped")
    link = stack.link(name, third, "Check", "Decide")
    assert stack.open(link, {"decision": "reject", "summary": "no"})[0] == 200
    stack.until_status(name, third, "Failed")


def a_push_by_webhook(stack, name):
    """A signed push starts the pipelines whose filters it passes, once; others, and forgeries, start nothing."""
    made = stack.extension(
        "CreateConnection", connectionName=name[-30:], providerType="GitHub", webhookSecret="s3cret-of-the-hook")
    arn, url = made["connection"]["connectionArn"], made["connection"]["webhookUrl"]
    source = action("Fetch", "Source", "CodeStarSourceConnection", {
        "ConnectionArn": arn, "FullRepositoryId": "acme/shop", "BranchName": "main"}, outputs=["App"])
    triggers = [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
        "sourceActionName": "Fetch",
        "push": [{"branches": {"includes": ["main", "release/**"]}, "filePaths": {"includes": ["src/**"]}}]}}]
    stack.declare(name, [
        {"name": "Source", "actions": [source]},
        {"name": "Check", "actions": [action("Decide", "Approval", "Manual")]},
    ], triggers=triggers)
    commits = ["1" * 40, "2" * 40, "3" * 40, "4" * 40]

    def push(before, after, files, secret="s3cret-of-the-hook", branch="main", delivery="d1"):
        body = json.dumps({
            "ref": f"refs/heads/{branch}", "before": before, "after": after, "created": False, "deleted": False,
            "forced": False, "repository": {"full_name": "acme/shop", "id": 1, "name": "shop", "owner": {"login": "acme"}},
            "head_commit": {"id": after, "message": "m", "author": {"name": "ann", "email": "a@example.com"}},
            "commits": [{"id": after, "added": [], "removed": [], "modified": files, "message": "m"}],
            "pusher": {"name": "ann"}, "sender": {"login": "ann"},
        }).encode()
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": signature,
                   "Content-Type": "application/json"}
        return stack.open(url, body, headers)

    assert push(commits[0], commits[1], ["docs/a.md"])[0] == 200
    assert push(commits[1], commits[2], ["src/a.rs"], secret="wrong")[0] == 401
    assert push(commits[1], commits[2], ["src/a.rs"], branch="feature/x")[0] == 200
    assert push(commits[1], commits[2], ["src/a.rs"], delivery="d2")[0] == 200
    assert push(commits[1], commits[2], ["src/a.rs"], delivery="d2")[0] == 200
    [execution] = stack.until("the push's execution", lambda: stack.executions(name))
    assert execution["trigger"]["triggerType"] == "WebhookV2", execution
    time.sleep(2)
    assert len(stack.executions(name)) == 1, stack.executions(name)


def only_ends_wake_the_dispatcher(stack, name):
    """The rule for completion events: ends of others' work, and of own drivers only those that nobody recorded."""
    rules = stack.events.list_rules()["Rules"]
    pattern = next(rule["EventPattern"] for rule in rules if "CodeBuild Build State Change" in rule.get("EventPattern", ""))
    own = stack.outputs["StateMachineArn"]
    other = own.rsplit(":", 1)[0] + ":of-somebody"
    build, machine = "CodeBuild Build State Change", "Step Functions Execution Status Change"
    for wakes, source, kind, detail in [
        (True, "aws.codebuild", build, {"build-status": "SUCCEEDED"}),
        (False, "aws.codebuild", build, {"build-status": "IN_PROGRESS"}),
        (True, "aws.codebuild", "CodeBuild Build Batch State Change", {"build-batch-status": "STOPPED"}),
        (False, "aws.states", machine, {"stateMachineArn": own, "status": "RUNNING"}),
        (False, "aws.states", machine, {"stateMachineArn": own, "status": "SUCCEEDED"}),
        (True, "aws.states", machine, {"stateMachineArn": own, "status": "TIMED_OUT"}),
        (False, "aws.states", machine, {"stateMachineArn": other, "status": "RUNNING"}),
        (True, "aws.states", machine, {"stateMachineArn": other, "status": "SUCCEEDED"}),
        (True, "aws.codedeploy", "CodeDeploy Deployment State-change Notification", {"state": "FAILURE"}),
        (False, "aws.codedeploy", "CodeDeploy Deployment State-change Notification", {"state": "START"}),
        (True, "aws.ecs", "ECS Deployment State Change", {"eventName": "SERVICE_DEPLOYMENT_COMPLETED"}),
        (False, "aws.ecs", "ECS Deployment State Change", {"eventName": "SERVICE_DEPLOYMENT_IN_PROGRESS"}),
        (True, "aws.cloudformation", "CloudFormation Stack Status Change", {"status-details": {"status": "UPDATE_COMPLETE"}}),
        (False, "aws.cloudformation", "CloudFormation Stack Status Change", {"status-details": {"status": "UPDATE_IN_PROGRESS"}}),
        (False, "aws.codebuild", "CodeBuild Build Phase Change", {"build-status": "SUCCEEDED"}),
    ]:
        event = {"id": "1", "account": "000000000000", "source": source, "time": "2026-11-30T12:00:00Z",
                 "region": "us-east-1", "resources": [], "detail-type": kind, "detail": detail}
        found = stack.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
        assert found is wakes, (kind, detail, found)


SCENARIOS = [
    the_main_job, a_failure_and_its_retry, a_function_called_again, a_missing_object, stopping_and_superseding, a_push_by_webhook,
    only_ends_wake_the_dispatcher,
]


def main(scenarios):
    stack = connect()
    stamp = str(time.time_ns())[-9:]
    chosen = [scenario for scenario in scenarios if not sys.argv[1:] or scenario.__name__ in sys.argv[1:]]
    for scenario in chosen:
        began = time.monotonic()
        scenario(stack, f"{scenario.__name__.replace('_', '-')}-{stamp}")
        print(f"ok {scenario.__name__} {time.monotonic() - began:.1f} s", flush=True)
    # The one that a scenario beside this makes is taken away by it.
    stack.until("no dead letters", lambda: stack.dead_letters() == 0, seconds=10)
    print(f"{len(chosen)} passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
