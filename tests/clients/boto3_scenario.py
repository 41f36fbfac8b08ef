"""What an unmodified boto3 sees of a served pipeline, from creation to deletion.

Usage: boto3_scenario.py ENDPOINT CREDENTIALS_FILE
Exits with 0 when everything held; an AssertionError says what did not.
"""
import sys

from served import client, kind, refused, wait

endpoint, credentials = sys.argv[1:3]


def declaration(name, mode="QUEUED", approval=True, command="echo built > out.txt"):
    stages = [
        {"name": "Source", "actions": [{
            "name": "Source", "actionTypeId": kind("Source", "CodeStarSourceConnection"), "namespace": "Src",
            "configuration": {"ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555",
                              "FullRepositoryId": "g/p", "BranchName": "main"},
            "outputArtifacts": [{"name": "Code"}]}]},
        {"name": "Build", "actions": [{
            "name": "Make", "actionTypeId": kind("Compute", "Commands"), "namespace": "Made",
            "commands": ["export GREETING=hello-#{Src.BranchName}", command], "outputVariables": ["GREETING"],
            "inputArtifacts": [{"name": "Code"}], "outputArtifacts": [{"name": "Out", "files": ["out.txt"]}]}]},
    ]
    if approval:
        stages.append({"name": "Gate", "actions": [{
            "name": "Approve", "actionTypeId": kind("Approval", "Manual"),
            "configuration": {"CustomData": "#{Made.GREETING}"}}]})
    return {"name": name, "roleArn": "arn:aws:iam::123456789012:role/penstock", "pipelineType": "V2", "executionMode": mode,
            "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": stages}


def status(cp, name, execution):
    return cp.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution)["pipelineExecution"]["status"]


def created(cp, pipeline):
    """Creates a pipeline; the execution that this starts."""
    cp.create_pipeline(pipeline=pipeline)
    [only] = cp.list_pipeline_executions(pipelineName=pipeline["name"])["pipelineExecutionSummaries"]
    assert only["trigger"]["triggerType"] == "CreatePipeline", only
    return only["pipelineExecutionId"]


def approvals(cp):
    first = created(cp, declaration("gated"))
    got = cp.get_pipeline(name="gated")
    assert got["pipeline"]["version"] == 1, got
    assert got["metadata"]["pipelineArn"].endswith(":gated"), got

    def pending():
        for stage in cp.get_pipeline_state(name="gated")["stageStates"]:
            for action in stage.get("actionStates", []):
                if action.get("latestExecution", {}).get("token"):
                    return action["latestExecution"]["token"]
    token = wait(pending)
    where = dict(pipelineName="gated", stageName="Gate", actionName="Approve")
    refused("InvalidApprovalTokenException", cp.put_approval_result, **where,
            token="00000000-0000-0000-0000-000000000000", result={"status": "Approved", "summary": ""})
    cp.put_approval_result(**where, token=token, result={"status": "Approved", "summary": "fine"})
    refused("ApprovalAlreadyCompletedException", cp.put_approval_result, **where, token=token,
            result={"status": "Rejected", "summary": "too late"})
    wait(lambda: status(cp, "gated", first) == "Succeeded")
    details = cp.list_action_executions(pipelineName="gated")["actionExecutionDetails"]
    by_name = {detail["actionName"]: detail for detail in details}
    made = by_name["Make"]
    assert made["status"] == "Succeeded", made
    assert made["output"]["outputVariables"]["GREETING"] == "hello-main", made
    assert made["input"]["inputArtifacts"][0]["s3location"]["bucket"] == "artifacts", made
    assert by_name["Approve"]["input"]["resolvedConfiguration"]["CustomData"] == "hello-main", by_name["Approve"]
    second = cp.start_pipeline_execution(name="gated", clientRequestToken="once")["pipelineExecutionId"]
    assert second != first
    assert cp.start_pipeline_execution(name="gated", clientRequestToken="once")["pipelineExecutionId"] == second


def failures(cp):
    execution = created(cp, declaration("failing", approval=False, command="test -e /nonexistent/flag"))
    wait(lambda: status(cp, "failing", execution) == "Failed")
    cp.retry_stage_execution(pipelineName="failing", stageName="Build", pipelineExecutionId=execution, retryMode="FAILED_ACTIONS")
    attempts = lambda: [d for d in cp.list_action_executions(pipelineName="failing")["actionExecutionDetails"] if d["actionName"] == "Make"]
    wait(lambda: len(attempts()) == 2 and status(cp, "failing", execution) == "Failed")
    refused("StageNotFoundException", cp.retry_stage_execution, pipelineName="failing", stageName="Nope",
            pipelineExecutionId=execution, retryMode="FAILED_ACTIONS")
    updated = cp.update_pipeline(pipeline=declaration("failing", approval=False, command="true"))
    assert updated["pipeline"]["version"] == 2, updated
    refused("StageNotRetryableException", cp.retry_stage_execution, pipelineName="failing", stageName="Build",
            pipelineExecutionId=execution, retryMode="FAILED_ACTIONS")


def stops(cp):
    execution = created(cp, declaration("slow", approval=False, command="sleep 30"))
    wait(lambda: any(stage.get("latestExecution", {}).get("status") == "InProgress" and stage["stageName"] == "Build"
                     for stage in cp.get_pipeline_state(name="slow")["stageStates"]))
    cp.stop_pipeline_execution(pipelineName="slow", pipelineExecutionId=execution, abandon=True, reason="enough")
    wait(lambda: status(cp, "slow", execution) == "Stopped", seconds=10)
    refused("PipelineExecutionNotStoppableException", cp.stop_pipeline_execution, pipelineName="slow", pipelineExecutionId=execution)


def transitions(cp):
    first = created(cp, declaration("held", approval=False))
    wait(lambda: status(cp, "held", first) == "Succeeded")
    where = dict(pipelineName="held", stageName="Build", transitionType="Inbound")
    cp.disable_stage_transition(**where, reason="frozen")
    execution = cp.start_pipeline_execution(name="held")["pipelineExecutionId"]
    state = lambda: {s["stageName"]: s for s in cp.get_pipeline_state(name="held")["stageStates"]}
    wait(lambda: state()["Build"].get("inboundExecution", {}).get("pipelineExecutionId") == execution)
    assert state()["Build"]["inboundTransitionState"]["disabledReason"] == "frozen"
    cp.enable_stage_transition(**where)
    wait(lambda: status(cp, "held", execution) == "Succeeded")


def listings(cp):
    for _ in range(3):
        execution = cp.start_pipeline_execution(name="held")["pipelineExecutionId"]
        wait(lambda: status(cp, "held", execution) == "Succeeded")
    pages = list(cp.get_paginator("list_pipeline_executions").paginate(pipelineName="held", PaginationConfig={"PageSize": 2}))
    assert [len(page["pipelineExecutionSummaries"]) for page in pages] == [2, 2, 1], pages
    names = [p["name"] for page in cp.get_paginator("list_pipelines").paginate() for p in page["pipelines"]]
    assert names == sorted(names) and {"gated", "failing", "slow", "held"} <= set(names), names
    refused("PipelineNameInUseException", cp.create_pipeline, pipeline=declaration("held"))
    refused("PipelineNotFoundException", cp.get_pipeline, name="nobody")
    message = refused("ValidationException", cp.start_pipeline_execution, name="held", sourceRevisions=[
        {"actionName": "a", "revisionType": "NONSENSE", "revisionValue": "x"}])
    assert "NONSENSE" in message, message


def regions(cp):
    other = client(endpoint, credentials, "eu-west-1")
    assert other.list_pipelines()["pipelines"] == []
    execution = created(other, declaration("held", approval=False))
    wait(lambda: status(other, "held", execution) == "Succeeded")


def deletion(cp):
    cp.delete_pipeline(name="held")
    cp.delete_pipeline(name="held")
    refused("PipelineNotFoundException", cp.get_pipeline, name="held")
    created(cp, declaration("held", approval=False))


cp = client(endpoint, credentials)
for part in (approvals, failures, stops, transitions, listings, regions, deletion):
    part(cp)
    print("held:", part.__name__)
