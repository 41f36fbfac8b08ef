"""What messages may do to a deployed stack: come twice, in another order, again after months, forged, poisoned, or never.
Nothing is lost by it, and nothing starts twice."""
import json
import sys
import time
import urllib.request

from botocore.config import Config
from scenario import bucket, function, invoke, main
from stack import action, archive, s3_source

HAND_OFF = "Penstock Work Row"


def named(stack, function_name):
    """What a function of the stack is called."""
    pages = stack.client("lambda").get_paginator("list_functions").paginate()
    names = [found["FunctionName"] for page in pages for found in page["Functions"]]
    [name] = [name for name in names if name.endswith(f"-{function_name}")]
    return name


def call(stack, function_name, event):
    """A function, invoked directly: its error's name, and its answer."""
    client = stack.client("lambda")
    answer = client.invoke(FunctionName=named(stack, function_name), Payload=json.dumps(event).encode())
    said = json.loads(answer["Payload"].read() or b"null")
    return (said or {}).get("errorType") if answer.get("FunctionError") else None, said


def overhear(stack, name):
    """A queue that gets every hand-off from now on."""
    queue = stack.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = stack.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern, bus = json.dumps({"detail-type": [HAND_OFF]}), stack.outputs["EventBusName"]
    stack.events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)
    stack.events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "q", "Arn": arn}])

    def hush():
        stack.events.remove_targets(Rule=name, EventBusName=bus, Ids=["q"])
        stack.events.delete_rule(Name=name, EventBusName=bus)

    def take():
        events = []
        while True:
            got = stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            for message in got:
                events.append(json.loads(message["Body"]))
                stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            if not got:
                return events
    return take, hush


def send(stack, details):
    """Hand-offs with these details, as anybody could send them who may put events on the bus."""
    entries = [{"Source": "penstock.codepipeline", "DetailType": HAND_OFF, "Detail": json.dumps(detail),
                "EventBusName": stack.outputs["EventBusName"]} for detail in details]
    for start in range(0, len(entries), 10):
        assert stack.events.put_events(Entries=entries[start:start + 10])["FailedEntryCount"] == 0


def shipped(stack, name, stages):
    """A pipeline with a source of its own, and its execution."""
    source = bucket(stack, f"{name}-source")
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"x": "y"}))
    stack.declare(name, [{"name": "Source", "actions": [s3_source(source)]}, *stages])
    return stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]


def attempts(stack, name, execution):
    """Each action execution: its name, id and status."""
    return sorted((found["actionName"], found["actionExecutionId"], found["status"])
                  for found in stack.actions(name, execution))


def messages_repeated_and_reordered(stack, name):
    """Every hand-off comes twice more, the last first, while the pipeline runs; and all of them again after its end."""
    take, hush = overhear(stack, name)
    worker = function(stack, name)
    execution = shipped(stack, name, [
        {"name": "Build", "actions": [invoke("One", worker), invoke("Two", worker), invoke("Three", worker, runOrder=2)]},
        {"name": "Check", "actions": [action("Decide", "Approval", "Manual")]},
    ])
    heard = []

    def again():
        fresh = [event["detail"] for event in take()]
        fresh = [detail for detail in fresh if detail not in heard]
        heard.extend(fresh)
        send(stack, [*reversed(fresh), *fresh])
        waits = [found for found in stack.actions(name, execution) if found["actionName"] == "Decide"]
        return waits and waits[0]["status"] == "InProgress"

    stack.until("the approval", again)
    link = stack.link(name, execution, "Check", "Decide")
    assert stack.open(link, {"decision": "approve", "summary": "fine"})[0] == 200
    stack.until_status(name, execution, "Succeeded")
    hush()
    ended = attempts(stack, name, execution)
    assert [found for found, _, _ in ended] == ["Decide", "Fetch", "One", "Three", "Two"], ended
    assert {status for _, _, status in ended} == {"Succeeded"}, ended
    # An archive's replay: everything once more, long after.
    assert len(heard) >= 5, heard
    send(stack, [*reversed(heard), *heard])
    time.sleep(3)
    assert attempts(stack, name, execution) == ended
    assert stack.status(name, execution) == "Succeeded" and len(stack.executions(name)) == 1


def messages_forged(stack, name):
    """Hand-offs that name no row, and completions of work that nobody started, change nothing."""
    execution = shipped(stack, name, [{"name": "Check", "actions": [action("Decide", "Approval", "Manual")]}])
    link = stack.link(name, execution, "Check", "Decide")
    before = attempts(stack, name, execution)
    rows = ["", "x", "../p#y", "0000000000000000#00000000-0000-0000-0000-000000000000"]
    send(stack, [{"v": 1, "work_row_id": row, "task": task} for row in rows for task in ("engine", "poll", "webhook", "clean")])
    forged = {"source": "aws.codebuild", "detail-type": "CodeBuild Build State Change",
              "detail": {"build-id": "arn:aws:codebuild:us-east-1:000000000000:build/nobody:knows", "build-status": "SUCCEEDED"}}
    assert call(stack, "dispatch-action", forged) == (None, {"completed": False})
    [decide] = [found for found in stack.actions(name, execution) if found["actionName"] == "Decide"]
    # The id of an action that waits for a person is no provider's.
    forged["detail"]["build-id"] = decide["actionExecutionId"]
    assert call(stack, "dispatch-action", forged) == (None, {"completed": False})
    time.sleep(2)
    assert attempts(stack, name, execution) == before
    assert stack.open(link, {"decision": "approve", "summary": "fine"})[0] == 200
    stack.until_status(name, execution, "Succeeded")


def events_poisoned(stack, name):
    """What a function cannot take fails under a fixed name; others go on."""
    junk = {"detail-type": HAND_OFF, "source": "penstock.codepipeline"}
    assert call(stack, "advance-execution", {**junk, "detail": {"v": 99, "work_row_id": "x"}})[0] == "Penstock.Newer"
    assert call(stack, "advance-execution", {**junk, "detail": {"v": 1}})[0] == "Penstock.InvalidEvent"
    assert call(stack, "dispatch-action", {"operation": "start", "input": {"v": "one"}})[0] == "Penstock.InvalidEvent"
    assert call(stack, "relay-outbox", {"no": "records"})[0] == "Penstock.InvalidEvent"
    execution = shipped(stack, name, [{"name": "Check", "actions": [action("Decide", "Approval", "Manual")]}])
    assert stack.open(stack.link(name, execution, "Check", "Decide"), {"decision": "approve", "summary": "fine"})[0] == 200
    stack.until_status(name, execution, "Succeeded")


def an_event_poisoned_for_good(stack, name):
    """What a function cannot take, however often it comes, lies among the dead letters in the end, whole and with the reason.
    (It is invoked as EventBridge invokes it on AWS: the emulator's own rules try once and keep nothing.) Others go on."""
    poison = {"detail-type": HAND_OFF, "source": "penstock.codepipeline", "detail": {"v": 99, "work_row_id": name}}
    sent = stack.client("lambda").invoke(
        FunctionName=named(stack, "advance-execution"), InvocationType="Event", Payload=json.dumps(poison).encode())
    assert sent["StatusCode"] == 202, sent
    execution = shipped(stack, name, [{"name": "Check", "actions": [action("Decide", "Approval", "Manual")]}])
    assert stack.open(stack.link(name, execution, "Check", "Decide"), {"decision": "approve", "summary": "fine"})[0] == 200
    stack.until_status(name, execution, "Succeeded")
    queue = stack.outputs["DeadLetterQueueUrl"]
    [letter] = stack.until("the dead letter", lambda: stack.sqs.receive_message(
        QueueUrl=queue, WaitTimeSeconds=5, VisibilityTimeout=1, MaxNumberOfMessages=10).get("Messages"))
    told = json.loads(letter["Body"])
    assert told["requestPayload"] == poison, told
    assert told["requestContext"]["condition"] == "RetriesExhausted", told
    assert told["responsePayload"]["errorType"] == "Penstock.Newer", told
    stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=letter["ReceiptHandle"])


def silence(stack, detail_type):
    """Nobody tells the stack of these events any more; what lets them be told again."""
    rules = stack.events.list_rules()["Rules"]
    told = [rule["Name"] for rule in rules if detail_type in rule.get("EventPattern", "")]
    assert told, [rule["Name"] for rule in rules]
    for rule in told:
        stack.events.disable_rule(Name=rule)
    return lambda: [stack.events.enable_rule(Name=rule) for rule in told]


def an_end_that_nobody_tells(stack, name):
    """Nobody tells that a state machine has ended, long after it was started: the later poll finds out."""
    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 5, "End": True}}}
    machines = stack.client("stepfunctions")
    machine = machines.create_state_machine(name=name, definition=json.dumps(waiting), roleArn=stack.role)["stateMachineArn"]
    speak = silence(stack, "Step Functions Execution Status Change")
    try:
        execution = shipped(stack, name, [{"name": "Run", "actions": [
            action("Wait", "Invoke", "StepFunctions", {"StateMachineArn": machine})]}])
        [run] = stack.until("the end of the machine", lambda: machines.list_executions(
            stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"])
        # It has ended, and nobody knows.
        assert ("Wait", "InProgress") in [(action, status) for action, _, status in attempts(stack, name, execution)]
        stack.until_status(name, execution, "Succeeded", seconds=180)
    finally:
        speak()
    [wait] = [found for found in stack.actions(name, execution) if found["actionName"] == "Wait"]
    assert wait["output"]["executionResult"]["externalExecutionId"] == run["executionArn"], wait
    assert len(machines.list_executions(stateMachineArn=machine)["executions"]) == 1


def nothing_sent_after_the_commit(stack, name):
    """A function that commits and sends nothing, as one that dies between the two: the relay sends what it left."""
    source = bucket(stack, f"{name}-source")
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"x": "y"}))
    stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source)]}, {"name": "Build", "actions": [invoke("One", function(stack, name))]}])
    client, mute = stack.client("lambda"), f"mute-{name}"
    whole = client.get_function(FunctionName=named(stack, "serve-api"))
    with urllib.request.urlopen(whole["Code"]["Location"], timeout=60) as answer:
        code = answer.read()
    told = whole["Configuration"]["Environment"]["Variables"]
    client.create_function(
        FunctionName=mute, Runtime="provided.al2023", Handler="bootstrap", Role=stack.role, Code={"ZipFile": code},
        Environment={"Variables": {**told, "PENSTOCK_BUS": "no-such-bus"}}, Timeout=30)
    url = client.create_function_url_config(FunctionName=mute, AuthType="NONE")["FunctionUrl"]
    pipelines = stack.client("codepipeline", endpoint_url=stack.through(url), config=Config(retries={"max_attempts": 0}))
    execution = pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]
    stack.until_status(name, execution, "Succeeded")
    client.delete_function(FunctionName=mute)


def an_event_that_never_comes(stack, name):
    """Nobody tells that a build has ended: who started it asks. (The emulator's builds end at once.)"""
    stack.client("codebuild").create_project(
        name=name, source={"type": "CODEPIPELINE"}, artifacts={"type": "CODEPIPELINE"}, serviceRole=stack.role,
        environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL"})
    speak = silence(stack, "CodeBuild Build State Change")
    try:
        execution = shipped(stack, name, [{"name": "Build", "actions": [
            action("Compile", "Build", "CodeBuild", {"ProjectName": name}, inputs=["App"])]}])
        stack.until_status(name, execution, "Succeeded", seconds=180)
    finally:
        speak()
    ended = attempts(stack, name, execution)
    assert [found for found, _, _ in ended] == ["Compile", "Fetch"], ended


SCENARIOS = [
    messages_repeated_and_reordered, messages_forged, events_poisoned, an_event_poisoned_for_good, an_event_that_never_comes,
    an_end_that_nobody_tells, nothing_sent_after_the_commit,
]


if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
