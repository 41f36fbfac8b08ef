"""Every operation but those of boto3_scenario.py, as an unmodified boto3 sees it, in either protocol.

Usage: boto3_operations.py ENDPOINT CREDENTIALS_FILE json|cbor
Exits with 0 when everything held; an AssertionError says what did not.
"""
import datetime
import sys
import threading
import time

import boto3
import botocore.model

from served import client, extension, kind, refused, wait

endpoint, credentials, protocol = sys.argv[1:4]

# CodePipeline's model names both protocols; botocore takes the first of its own list that a service has.
wanted = {"json": "json", "cbor": "smithy-rpc-v2-cbor"}[protocol]
botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = (wanted,)


cp = client(endpoint, credentials)
assert cp.meta.service_model.resolved_protocol == wanted, cp.meta.service_model.resolved_protocol
ACCOUNT = "123456789012"
ARN = "arn:aws:codepipeline:us-east-1:%s:" % ACCOUNT


SOURCE = {"name": "Source", "actions": [{
    "name": "Source", "actionTypeId": kind("Source", "CodeStarSourceConnection"), "namespace": "Src",
    "configuration": {"ConnectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555",
                      "FullRepositoryId": "g/p", "BranchName": "main"},
    "outputArtifacts": [{"name": "Code"}]}]}


def declaration(name, *stages, **more):
    return dict({"name": name, "roleArn": "arn:aws:iam::123456789012:role/penstock", "pipelineType": "V2",
                 "executionMode": "QUEUED", "artifactStore": {"type": "S3", "location": "artifacts"},
                 "stages": [SOURCE, *stages]}, **more)


def status(name, execution):
    return cp.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution)["pipelineExecution"]["status"]


def commands(name, *lines, **more):
    return dict({"name": name, "actionTypeId": kind("Compute", "Commands"), "commands": list(lines),
                 "inputArtifacts": [{"name": "Code"}]}, **more)


def created(pipeline):
    """Creates a pipeline; the execution that this starts."""
    cp.create_pipeline(pipeline=pipeline)
    [only] = cp.list_pipeline_executions(pipelineName=pipeline["name"])["pipelineExecutionSummaries"]
    assert only["trigger"]["triggerType"] == "CreatePipeline", only
    return only["pipelineExecutionId"]


def action_types():
    made = cp.create_custom_action_type(
        category="Build", provider="Builder", version="1",
        settings={"entityUrlTemplate": "https://ci.example/{Config:Project}",
                  "executionUrlTemplate": "https://ci.example/{Config:Project}/{ExternalExecutionId}"},
        configurationProperties=[
            {"name": "Project", "required": True, "key": True, "secret": False, "queryable": True, "type": "String"}],
        inputArtifactDetails={"minimumCount": 1, "maximumCount": 2},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
        tags=[{"key": "team", "value": "ci"}])
    assert made["actionType"]["id"] == kind("Build", "Builder", "Custom"), made
    assert made["actionType"]["inputArtifactDetails"] == {"minimumCount": 1, "maximumCount": 2}, made
    assert made["tags"] == [{"key": "team", "value": "ci"}], made
    types = [t for page in cp.get_paginator("list_action_types").paginate(actionOwnerFilter="Custom") for t in page["actionTypes"]]
    assert made["actionType"] in types, types
    everything = [t for page in cp.get_paginator("list_action_types").paginate() for t in page["actionTypes"]]
    assert len(everything) == 42, len(everything)
    refused("ActionTypeAlreadyExistsException", cp.create_custom_action_type, category="Build", provider="Builder",
            version="1", inputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
            outputArtifactDetails={"minimumCount": 0, "maximumCount": 1})
    cp.create_custom_action_type(category="Test", provider="Gone", version="1",
                                 inputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
                                 outputArtifactDetails={"minimumCount": 0, "maximumCount": 1})
    cp.delete_custom_action_type(category="Test", provider="Gone", version="1")
    refused("ActionTypeNotFoundException", cp.poll_for_jobs, actionTypeId=kind("Test", "Gone", "Custom"))
    snyk = cp.get_action_type(**kind("Invoke", "Snyk", "ThirdParty"))["actionType"]
    assert snyk["executor"]["type"] == "JobWorker", snyk
    snyk["description"] = "Scans"
    cp.update_action_type(actionType=snyk)
    assert cp.get_action_type(**kind("Invoke", "Snyk", "ThirdParty"))["actionType"]["description"] == "Scans"
    refused("ActionTypeNotFoundException", cp.get_action_type, **kind("Invoke", "Nobody", "ThirdParty"))
    rules = cp.list_rule_types(ruleOwnerFilter="AWS")["ruleTypes"]
    assert {r["id"]["provider"] for r in rules} >= {"VariableCheck", "DeploymentWindow", "LambdaInvoke"}, rules
    check = next(r for r in rules if r["id"]["provider"] == "VariableCheck")
    assert [p["name"] for p in check["ruleConfigurationProperties"]] == ["Variable", "Value", "Operator"], check


def tags():
    arn = ARN + "tagged"
    made = cp.create_pipeline(pipeline=declaration("tagged", {"name": "Build", "actions": [commands("Run", "true")]}),
                              tags=[{"key": "a", "value": "1"}])
    assert made["tags"] == [{"key": "a", "value": "1"}], made
    cp.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}, {"key": "c", "value": ""}])
    pages = list(cp.get_paginator("list_tags_for_resource").paginate(resourceArn=arn, PaginationConfig={"PageSize": 2}))
    assert [len(page["tags"]) for page in pages] == [2, 1], pages
    cp.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
    assert cp.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    builder = ARN + "actiontype:Custom/Build/Builder/1"
    assert cp.list_tags_for_resource(resourceArn=builder)["tags"] == [{"key": "team", "value": "ci"}]
    refused("ResourceNotFoundException", cp.list_tags_for_resource, resourceArn=ARN + "nobody")
    refused("InvalidArnException", cp.list_tags_for_resource, resourceArn=ARN + "tagged/Build/Run")
    refused("InvalidTagsException", cp.tag_resource, resourceArn=arn, tags=[{"key": "aws:x", "value": "1"}])
    refused("TooManyTagsException", cp.tag_resource, resourceArn=arn,
            tags=[{"key": "k%d" % n, "value": ""} for n in range(51)])


class Worker(threading.Thread):
    """A job worker as people write them: polls, acknowledges, works in two steps, answers."""

    def __init__(self, fails=False):
        super().__init__(daemon=True)
        self.cp, self.fails, self.seen, self.error = client(endpoint, credentials), fails, [], None

    def run(self):
        try:
            while len(self.seen) < (1 if self.fails else 2):
                jobs = self.cp.poll_for_jobs(actionTypeId=kind("Build", "Builder", "Custom"), maxBatchSize=1,
                                             queryParam={"Project": "web"})["jobs"]
                if not jobs:
                    time.sleep(0.05)
                for job in jobs:
                    self.work(job)
        except Exception as error:  # told to the main thread
            self.error = error

    def work(self, job):
        acknowledged = self.cp.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        assert acknowledged["status"] == "InProgress", acknowledged
        details = self.cp.get_job_details(jobId=job["id"])["jobDetails"]
        assert details["data"]["pipelineContext"] == job["data"]["pipelineContext"], details
        self.seen.append(job)
        if self.fails:
            self.cp.put_job_failure_result(jobId=job["id"], failureDetails={
                "type": "JobFailed", "message": "told to fail", "externalExecutionId": "run-9"})
        elif "continuationToken" not in job["data"]:
            self.cp.put_job_success_result(jobId=job["id"], continuationToken="half", executionDetails={
                "summary": "half", "externalExecutionId": "run-7", "percentComplete": 50})
        else:
            assert job["data"]["continuationToken"] == "half", job
            self.cp.put_job_success_result(jobId=job["id"], outputVariables={"Image": "web:1"}, executionDetails={
                "summary": "done", "externalExecutionId": "run-7", "percentComplete": 100})


def jobs():
    build = {"name": "Build", "actions": [{
        "name": "Make", "actionTypeId": kind("Build", "Builder", "Custom"), "namespace": "Made",
        "configuration": {"Project": "web"}, "inputArtifacts": [{"name": "Code"}]}]}
    deploy = {"name": "Use", "actions": [commands("Use", "echo image=#{Made.Image}")]}
    worker = Worker()
    worker.start()
    execution = created(declaration("built", build, deploy))
    wait(lambda: worker.error or status("built", execution) == "Succeeded")
    assert not worker.error, worker.error
    first, second = worker.seen
    context = first["data"]["pipelineContext"]
    assert context["pipelineName"] == "built" and context["pipelineExecutionId"] == execution, context
    assert context["action"]["actionExecutionId"] == first["id"] != second["id"], (first, second)
    assert first["data"]["actionConfiguration"]["configuration"] == {"Project": "web"}, first
    assert first["data"]["inputArtifacts"][0]["location"]["s3Location"]["bucketName"] == "artifacts", first
    assert first["accountId"] == ACCOUNT, first
    details = {d["actionName"]: d for d in cp.list_action_executions(pipelineName="built")["actionExecutionDetails"]}
    assert details["Make"]["output"]["outputVariables"] == {"Image": "web:1"}, details["Make"]
    result = details["Make"]["output"]["executionResult"]
    assert result["externalExecutionUrl"] == "https://ci.example/web/run-7", result
    refused("InvalidJobStateException", cp.put_job_success_result, jobId=second["id"])
    refused("InvalidNonceException", cp.acknowledge_job, jobId=second["id"], nonce=second["nonce"])
    nobody = "00000000-0000-0000-0000-000000000000"
    refused("JobNotFoundException", cp.get_job_details, jobId=nobody)
    failing = Worker(fails=True)
    failing.start()
    execution = cp.start_pipeline_execution(name="built")["pipelineExecutionId"]
    wait(lambda: failing.error or status("built", execution) == "Failed")
    assert not failing.error, failing.error


def partners():
    """A partner's worker takes jobs with its client's token, goes on with one, and fails another."""
    nobody = "00000000-0000-0000-0000-000000000000"
    third_party = kind("Test", "BlazeMeter", "ThirdParty")
    assert cp.poll_for_third_party_jobs(actionTypeId=third_party)["jobs"] == []
    refused("JobNotFoundException", cp.get_third_party_job_details, jobId=nobody, clientToken="t")
    refused("JobNotFoundException", cp.acknowledge_third_party_job, jobId=nobody, nonce="1", clientToken="t")
    refused("JobNotFoundException", cp.put_third_party_job_success_result, jobId=nobody, clientToken="t")
    refused("JobNotFoundException", cp.put_third_party_job_failure_result, jobId=nobody, clientToken="t",
            failureDetails={"type": "JobFailed", "message": "no"})
    declared = cp.get_action_type(**third_party)["actionType"]
    declared.update(urls={"executionUrlTemplate": "https://load.example/{ExternalExecutionId}"}, description="Load tests")
    cp.update_action_type(actionType=declared)
    shown = cp.get_action_type(**third_party)["actionType"]
    assert shown["urls"] == declared["urls"] and shown["description"] == "Load tests", shown
    test = {"name": "Test", "actions": [{
        "name": "Load", "actionTypeId": third_party, "inputArtifacts": [{"name": "Code"}]}]}
    execution = created(declaration("partnered", test))
    known = extension(cp, "GetThirdPartyClient", actionTypeId=third_party)
    token = known["clientToken"]

    def next_job(batch=1):
        jobs = wait(lambda: cp.poll_for_third_party_jobs(actionTypeId=third_party, maxBatchSize=batch)["jobs"])
        assert len(jobs) == 1 and jobs[0]["clientId"] == known["clientId"], jobs
        return jobs[0]["jobId"]

    def take(job):
        refused("InvalidClientTokenException", cp.get_third_party_job_details, jobId=job, clientToken=token[::-1])
        details = cp.get_third_party_job_details(jobId=job, clientToken=token)["jobDetails"]
        refused("InvalidNonceException", cp.acknowledge_third_party_job, jobId=job, clientToken=token, nonce="0")
        took = cp.acknowledge_third_party_job(jobId=job, clientToken=token, nonce=details["nonce"])
        assert took["status"] == "InProgress", took
        refused("InvalidNonceException", cp.acknowledge_third_party_job, jobId=job, clientToken=token,
                nonce=details["nonce"])
        return details

    first = next_job()
    details = take(first)
    assert details["id"] == first and details["data"]["actionTypeId"] == third_party, details
    context = details["data"]["pipelineContext"]
    assert (context["pipelineName"], context["pipelineExecutionId"]) == ("partnered", execution), context
    assert (context["stage"], context["action"]["name"]) == ({"name": "Test"}, "Load"), context
    assert details["data"]["inputArtifacts"][0]["location"]["s3Location"]["bucketName"] == "artifacts", details
    assert "continuationToken" not in details["data"], details
    cp.put_third_party_job_success_result(jobId=first, clientToken=token, continuationToken="ramp-up", executionDetails={
        "summary": "ramping up", "externalExecutionId": "load-1", "percentComplete": 10})
    refused("InvalidJobStateException", cp.put_third_party_job_success_result, jobId=first, clientToken=token)
    second = next_job(batch=10)
    details = take(second)
    assert second != first and details["data"]["continuationToken"] == "ramp-up", details
    assert details["data"]["pipelineContext"] == context, details
    refused("JobNotFoundException", cp.put_job_success_result, jobId=second)
    cp.put_third_party_job_success_result(jobId=second, clientToken=token, executionDetails={
        "summary": "peak 900/s", "externalExecutionId": "load-1", "percentComplete": 100})
    wait(lambda: status("partnered", execution) == "Succeeded")
    done = {d["actionName"]: d for d in cp.list_action_executions(pipelineName="partnered")["actionExecutionDetails"]}
    result = done["Load"]["output"]["executionResult"]
    assert done["Load"]["status"] == "Succeeded" and result["externalExecutionSummary"] == "peak 900/s", done
    assert result["externalExecutionUrl"] == "https://load.example/load-1", result
    execution = cp.start_pipeline_execution(name="partnered")["pipelineExecutionId"]
    job = next_job()
    take(job)
    cp.put_third_party_job_failure_result(jobId=job, clientToken=token, failureDetails={
        "type": "JobFailed", "message": "too slow", "externalExecutionId": "load-2"})
    wait(lambda: status("partnered", execution) == "Failed")
    [failed] = cp.list_action_executions(pipelineName="partnered", filter={"pipelineExecutionId": execution})[
        "actionExecutionDetails"][:1]
    result = failed["output"]["executionResult"]
    assert result["errorDetails"] == {"code": "JobFailed", "message": "too slow"}, failed
    assert result["externalExecutionId"] == "load-2", failed


def revisions():
    where = dict(pipelineName="tagged", stageName="Source", actionName="Source")
    revision = {"revisionId": "main", "revisionChangeId": "c", "created": datetime.datetime(2026, 11, 24, 6)}
    first = cp.put_action_revision(**where, actionRevision=revision)
    assert first["newRevision"] is True, first
    again = cp.put_action_revision(**where, actionRevision=revision)
    assert (again["newRevision"], again["pipelineExecutionId"]) == (False, first["pipelineExecutionId"]), again
    shown = cp.get_pipeline_execution(pipelineName="tagged", pipelineExecutionId=first["pipelineExecutionId"])
    assert shown["pipelineExecution"]["trigger"]["triggerType"] == "PutActionRevision", shown
    refused("ActionNotFoundException", cp.put_action_revision, **dict(where, actionName="No"), actionRevision=revision)
    refused("StageNotFoundException", cp.put_action_revision, **dict(where, stageName="No"), actionRevision=revision)


def rollbacks():
    stage = {"name": "Build", "actions": [commands("Run", "true")],
             "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [{
                 "name": "OnMain", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
                 "configuration": {"Variable": "#{Src.BranchName}", "Value": "#{variables.branch}", "Operator": "EQ"}}]}]}}
    first = created(declaration("ruled", stage, variables=[{"name": "branch", "defaultValue": "main"}]))
    wait(lambda: status("ruled", first) == "Succeeded")
    rules = [r for page in cp.get_paginator("list_rule_executions").paginate(pipelineName="ruled", PaginationConfig={"PageSize": 1})
             for r in page["ruleExecutionDetails"]]
    assert [(r["ruleName"], r["status"]) for r in rules] == [("OnMain", "Succeeded")], rules
    assert isinstance(rules[0]["startTime"], datetime.datetime), rules
    held = cp.start_pipeline_execution(name="ruled", variables=[{"name": "branch", "value": "other"}])["pipelineExecutionId"]
    wait(lambda: status("ruled", held) == "Failed")
    state = {s["stageName"]: s for s in cp.get_pipeline_state(name="ruled")["stageStates"]}["Build"]
    assert state["beforeEntryConditionState"]["latestExecution"]["status"] == "Failed", state
    refused("ConditionNotOverridableException", cp.override_stage_condition, pipelineName="ruled", stageName="Build",
            pipelineExecutionId=held, conditionType="ON_SUCCESS")
    cp.override_stage_condition(pipelineName="ruled", stageName="Build", pipelineExecutionId=held, conditionType="BEFORE_ENTRY")
    wait(lambda: status("ruled", held) == "Succeeded")
    back = cp.rollback_stage(pipelineName="ruled", stageName="Build", targetPipelineExecutionId=first)["pipelineExecutionId"]
    wait(lambda: status("ruled", back) == "Succeeded")
    shown = cp.get_pipeline_execution(pipelineName="ruled", pipelineExecutionId=back)["pipelineExecution"]
    assert shown["executionType"] == "ROLLBACK", shown
    assert shown["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == first, shown
    refused("UnableToRollbackStageException", cp.rollback_stage, pipelineName="ruled", stageName="Source",
            targetPipelineExecutionId=first)
    succeeded = cp.list_pipeline_executions(pipelineName="ruled", filter={"succeededInStage": {"stageName": "Build"}})
    assert [e["pipelineExecutionId"] for e in succeeded["pipelineExecutionSummaries"]] == [back, held, first], succeeded
    latest = cp.list_action_executions(pipelineName="ruled", filter={"latestInPipelineExecution": {
        "pipelineExecutionId": held, "startTimeRange": "Latest"}})["actionExecutionDetails"]
    assert [d["actionName"] for d in latest] == ["Run", "Source"], latest
    assert latest[0]["input"]["inputArtifacts"][0]["s3location"]["key"].startswith("ruled/Code/"), latest
    pages = list(cp.get_paginator("list_action_executions").paginate(pipelineName="ruled", PaginationConfig={"PageSize": 2}))
    assert sum(len(page["actionExecutionDetails"]) for page in pages) == 5 and len(pages) == 3, pages
    refused("ActionExecutionNotFoundException", cp.list_deploy_action_execution_targets,
            actionExecutionId=latest[0]["actionExecutionId"])
    targets = list(cp.get_paginator("list_deploy_action_execution_targets").paginate(actionExecutionId=deployed()))
    [target] = targets[0]["targets"]
    assert (target["targetId"], target["targetType"], target["status"]) == ("out", "S3", "Succeeded"), target
    [event] = target["events"]
    assert event["name"] == "Deploy" and "files to" in event["context"]["message"], target
    assert target["startTime"] <= target["endTime"], target


def deployed():
    """The id of a deploy action's execution."""
    deploy = {"name": "Ship", "actions": [{"name": "Upload", "actionTypeId": kind("Deploy", "S3"),
              "configuration": {"BucketName": "out", "Extract": "true"}, "inputArtifacts": [{"name": "Code"}]}]}
    execution = created(declaration("shipped", deploy))
    wait(lambda: status("shipped", execution) == "Succeeded")
    return cp.list_action_executions(pipelineName="shipped")["actionExecutionDetails"][0]["actionExecutionId"]


def blockers():
    """What the API reserves is refused, and not taken as if it were not there."""
    gate = {"name": "Gate", "actions": [{"name": "Approve", "actionTypeId": kind("Approval", "Manual")}]}
    cp.create_pipeline(pipeline=declaration("blocked", dict(gate, blockers=[])))
    held = declaration("blocked", dict(gate, blockers=[{"name": "Nightly", "type": "Schedule"}]))
    refused("InvalidBlockerDeclarationException", cp.update_pipeline, pipeline=held)
    refused("InvalidBlockerDeclarationException", cp.create_pipeline, pipeline=dict(held, name="blocked-2"))


def pages():
    """The paginators, each of which one of these scenarios uses; there are no waiters."""
    every = {name for name in cp.meta.method_to_api_mapping if cp.can_paginate(name)}
    assert every == {"list_action_executions", "list_action_types", "list_deploy_action_execution_targets",
                     "list_pipeline_executions", "list_pipelines", "list_rule_executions", "list_tags_for_resource",
                     "list_webhooks"}, every
    assert cp.waiter_names == [], cp.waiter_names


def tokens():
    token = cp.list_pipelines(maxResults=1)["nextToken"]
    for wrong in (token[:-4] + "AAAA", "x", token + token):
        refused("InvalidNextTokenException", cp.list_pipelines, maxResults=1, nextToken=wrong)
    refused("InvalidNextTokenException", cp.list_action_types, nextToken=token)
    message = refused("ValidationException", cp.list_pipelines, maxResults=5000)
    assert "Value '5000' at 'maxResults' failed to satisfy constraint" in message, message
    wrong = boto3.client("codepipeline", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="AKIDNOBODY",
                         aws_secret_access_key="x")
    refused("UnrecognizedClientException", wrong.list_pipelines)


for part in (action_types, tags, jobs, partners, revisions, rollbacks, blockers, pages, tokens):
    part()
    print("held:", part.__name__)
