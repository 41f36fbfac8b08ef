// What an unmodified AWS SDK for JavaScript sees of a served pipeline, in either protocol.
//
// Usage: node scenario.mjs ENDPOINT CREDENTIALS_FILE json|cbor
// Ends with 0 when everything held; an AssertionError says what did not.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

// The packages lie where the tests install them, not beside this file.
const require = createRequire(process.env.PENSTOCK_TEST_JAVASCRIPT + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const sdk = await load("@aws-sdk/client-codepipeline");
const protocols = await load("@aws-sdk/core/protocols");

const [endpoint, credentialsFile, protocol] = process.argv.slice(2);
const keys = Object.fromEntries(
  readFileSync(credentialsFile, "utf8").split("\n").filter((line) => line.includes("="))
    .map((line) => line.split("=", 2).map((part) => part.trim())));
const wanted = { json: protocols.AwsJson1_1Protocol, cbor: protocols.AwsSmithyRpcV2CborProtocol }[protocol];
assert.ok(wanted, "a protocol");
const client = new sdk.CodePipelineClient({
  endpoint, region: "us-east-1", protocol: wanted,
  credentials: { accessKeyId: keys.aws_access_key_id, secretAccessKey: keys.aws_secret_access_key },
});
const called = new Set();
const call = (operation, input = {}) => {
  called.add(operation);
  return client.send(new sdk[operation + "Command"](input));
};
const refused = async (name, operation, input) => {
  const error = await call(operation, input).then(() => assert.fail(`${operation} was taken`), (error) => error);
  assert.equal(error.name, name, `${operation}: ${error.message}`);
  if (sdk[name]) assert.ok(error instanceof sdk[name], `${operation}: ${name} has its class`);
  assert.ok(error.$metadata.requestId, "a request id");
  return error.message;
};
const until = async (what) => {
  for (let tries = 0; tries < 1500; tries += 1) {
    const found = await what();
    if (found) return found;
    await sleep(20);
  }
  return assert.fail("timed out waiting");
};

const type = (category, provider, owner = "AWS") => ({ category, owner, provider, version: "1" });
const arn = (name) => `arn:aws:codepipeline:us-east-1:123456789012:${name}`;
const source = { name: "Source", actions: [{
  name: "Source", actionTypeId: type("Source", "CodeStarSourceConnection"), namespace: "Src",
  configuration: { ConnectionArn: "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555",
    FullRepositoryId: "g/p", BranchName: "main" },
  outputArtifacts: [{ name: "Code" }] }] };
const declaration = (name, ...stages) => ({
  name, roleArn: "arn:aws:iam::123456789012:role/penstock", pipelineType: "V2", executionMode: "QUEUED",
  artifactStore: { type: "S3", location: "artifacts" }, stages: [source, ...stages] });
const commands = (name, ...lines) => ({
  name, actionTypeId: type("Compute", "Commands"), commands: lines, inputArtifacts: [{ name: "Code" }] });
const status = async (pipelineName, pipelineExecutionId) =>
  (await call("GetPipelineExecution", { pipelineName, pipelineExecutionId })).pipelineExecution.status;
const ended = (name, id, as) => until(async () => (await status(name, id)) === as);
const start = async (name, more = {}) => (await call("StartPipelineExecution", { name, ...more })).pipelineExecutionId;
const nobody = "00000000-0000-0000-0000-000000000000";

async function pipelines() {
  const rule = { name: "Always", ruleTypeId: { category: "Rule", owner: "AWS", provider: "VariableCheck", version: "1" },
    configuration: { Variable: "#{Src.BranchName}", Value: "other", Operator: "EQ" } };
  const gate = { name: "Gate", actions: [{ name: "Approve", actionTypeId: type("Approval", "Manual"), configuration: {} }] };
  const build = { name: "Build", actions: [commands("Run", "true")],
    beforeEntry: { conditions: [{ result: "FAIL", rules: [rule] }] } };
  const made = await call("CreatePipeline", { pipeline: declaration("js", build, gate), tags: [{ key: "a", value: "1" }] });
  assert.equal(made.pipeline.version, 1);
  assert.deepEqual(made.tags, [{ key: "a", value: "1" }]);
  assert.equal(made.pipeline.stages[1].actions[0].runOrder, 1);
  const got = await call("GetPipeline", { name: "js" });
  assert.ok(got.metadata.created instanceof Date && Math.abs(Date.now() - got.metadata.created) < 600_000);
  assert.equal(got.metadata.pipelineArn, arn("js"));
  await refused("PipelineNameInUseException", "CreatePipeline", { pipeline: declaration("js", build) });
  await refused("PipelineNotFoundException", "GetPipeline", { name: "nobody" });
  const updated = await call("UpdatePipeline", { pipeline: got.pipeline });
  assert.equal(updated.pipeline.version, 2);
  const names = [];
  for await (const page of sdk.paginateListPipelines({ client, pageSize: 1 }, {})) names.push(...page.pipelines.map((p) => p.name));
  assert.ok(names.includes("js"));
  assert.ok((await call("ListPipelines")).pipelines.length >= 1);

  const first = await start("js", { clientRequestToken: "js-1" });
  assert.equal(await start("js", { clientRequestToken: "js-1" }), first);
  await ended("js", first, "Failed");
  await call("OverrideStageCondition", { pipelineName: "js", stageName: "Build", pipelineExecutionId: first, conditionType: "BEFORE_ENTRY" });
  const pending = () => call("GetPipelineState", { name: "js" }).then((state) =>
    state.stageStates.flatMap((stage) => stage.actionStates ?? []).find((action) => action.latestExecution?.token));
  const action = await until(pending);
  assert.equal(action.actionName, "Approve");
  const where = { pipelineName: "js", stageName: "Gate", actionName: "Approve", token: action.latestExecution.token };
  await refused("InvalidApprovalTokenException", "PutApprovalResult", { ...where, token: nobody, result: { status: "Approved", summary: "" } });
  const approved = await call("PutApprovalResult", { ...where, result: { status: "Rejected", summary: "no" } });
  assert.ok(approved.approvedAt instanceof Date);
  await ended("js", first, "Failed");
  const retried = await call("RetryStageExecution", { pipelineName: "js", stageName: "Gate", pipelineExecutionId: first, retryMode: "FAILED_ACTIONS" });
  assert.equal(retried.pipelineExecutionId, first);
  await until(pending);
  const stopped = await call("StopPipelineExecution", { pipelineName: "js", pipelineExecutionId: first, abandon: true, reason: "enough" });
  assert.equal(stopped.pipelineExecutionId, first);
  await ended("js", first, "Stopped");
  const rules = await call("ListRuleExecutions", { pipelineName: "js" });
  assert.equal(rules.ruleExecutionDetails[0].ruleName, "Always");
  const details = await call("ListActionExecutions", { pipelineName: "js", filter: { pipelineExecutionId: first } });
  assert.ok(details.actionExecutionDetails.every((detail) => detail.startTime instanceof Date));
  const summaries = await call("ListPipelineExecutions", { pipelineName: "js" });
  assert.ok(summaries.pipelineExecutionSummaries.some((each) => each.pipelineExecutionId === first && each.stopTrigger.reason === "enough"));
  await refused("UnableToRollbackStageException", "RollbackStage", { pipelineName: "js", stageName: "Gate", targetPipelineExecutionId: first });
  await refused("ActionExecutionNotFoundException", "ListDeployActionExecutionTargets", { actionExecutionId: nobody });
  const transition = { pipelineName: "js", stageName: "Build", transitionType: "Inbound" };
  await call("DisableStageTransition", { ...transition, reason: "frozen" });
  const held = (await call("GetPipelineState", { name: "js" })).stageStates[1].inboundTransitionState;
  assert.deepEqual([held.enabled, held.disabledReason], [false, "frozen"]);
  await call("EnableStageTransition", transition);
  const revision = { revisionId: "r", revisionChangeId: "c", created: new Date(0) };
  const put = await call("PutActionRevision", { pipelineName: "js", stageName: "Source", actionName: "Source", actionRevision: revision });
  assert.equal(put.newRevision, true);
}

async function jobs() {
  const counts = (minimumCount, maximumCount) => ({ minimumCount, maximumCount });
  const made = await call("CreateCustomActionType", { category: "Test", provider: "Js", version: "1",
    inputArtifactDetails: counts(1, 1), outputArtifactDetails: counts(0, 0) });
  assert.equal(made.actionType.id.owner, "Custom");
  const types = [];
  for await (const page of sdk.paginateListActionTypes({ client }, { actionOwnerFilter: "Custom" })) types.push(...page.actionTypes);
  assert.ok(types.some((known) => known.id.provider === "Js"));
  await call("ListActionTypes");
  assert.equal((await call("ListRuleTypes")).ruleTypes.length, 6);
  const snyk = (await call("GetActionType", type("Invoke", "Snyk", "ThirdParty"))).actionType;
  await call("UpdateActionType", { actionType: { ...snyk, description: "Scans" } });
  // In parallel, so that the execution that the creation starts keeps no other from its job.
  const pipeline = declaration("jsjobs", { name: "Test", actions: [{
    name: "Check", actionTypeId: type("Test", "Js", "Custom"), inputArtifacts: [{ name: "Code" }] }] });
  await call("CreatePipeline", { pipeline: { ...pipeline, executionMode: "PARALLEL" } });
  const work = async (answer) => {
    const id = await start("jsjobs");
    const poll = () => call("PollForJobs", { actionTypeId: type("Test", "Js", "Custom"), maxBatchSize: 50 });
    const job = await until(async () =>
      (await poll()).jobs.find((job) => job.data.pipelineContext.pipelineExecutionId === id));
    const taken = await call("AcknowledgeJob", { jobId: job.id, nonce: job.nonce });
    assert.equal(taken.status, "InProgress");
    await refused("InvalidNonceException", "AcknowledgeJob", { jobId: job.id, nonce: job.nonce });
    const details = await call("GetJobDetails", { jobId: job.id });
    assert.deepEqual(details.jobDetails.data.inputArtifacts, job.data.inputArtifacts);
    await answer(job);
    return [id, job];
  };
  const [good, job] = await work((job) => call("PutJobSuccessResult", { jobId: job.id, outputVariables: { A: "1" } }));
  await ended("jsjobs", good, "Succeeded");
  await refused("InvalidJobStateException", "PutJobSuccessResult", { jobId: job.id });
  const [bad] = await work((job) => call("PutJobFailureResult", { jobId: job.id, failureDetails: { type: "JobFailed", message: "no" } }));
  await ended("jsjobs", bad, "Failed");
  assert.deepEqual((await call("PollForThirdPartyJobs", { actionTypeId: type("Test", "Runscope", "ThirdParty") })).jobs, []);
  const failure = { failureDetails: { type: "JobFailed", message: "no" } };
  for (const [operation, more] of [["AcknowledgeThirdPartyJob", { nonce: "1" }], ["GetThirdPartyJobDetails", {}],
    ["PutThirdPartyJobSuccessResult", {}], ["PutThirdPartyJobFailureResult", failure]]) {
    await refused("JobNotFoundException", operation, { jobId: nobody, clientToken: "t", ...more });
  }
  await call("DeleteCustomActionType", { category: "Test", provider: "Js", version: "1" });
  await refused("ActionTypeNotFoundException", "PollForJobs", { actionTypeId: type("Test", "Js", "Custom") });
}

async function tags() {
  await call("TagResource", { resourceArn: arn("js"), tags: [{ key: "b", value: "" }] });
  await call("UntagResource", { resourceArn: arn("js"), tagKeys: ["a"] });
  assert.deepEqual((await call("ListTagsForResource", { resourceArn: arn("js") })).tags, [{ key: "b", value: "" }]);
  await refused("ResourceNotFoundException", "ListTagsForResource", { resourceArn: arn("nobody") });
}

async function webhooks() {
  const webhook = { name: "hook", targetPipeline: "js", targetAction: "Source", authentication: "UNAUTHENTICATED",
    authenticationConfiguration: {}, filters: [{ jsonPath: "$.ref", matchEquals: "refs/heads/main" }] };
  const put = await call("PutWebhook", { webhook });
  assert.equal(put.webhook.definition.name, "hook");
  assert.ok(put.webhook.url.includes("/webhooks/"), put.webhook.url);
  assert.ok((await call("ListWebhooks")).webhooks.some((each) => each.arn === arn("webhook:hook")));
  for (const operation of ["RegisterWebhookWithThirdParty", "DeregisterWebhookWithThirdParty"]) {
    await refused("WebhookNotFoundException", operation, { webhookName: "nobody" });
  }
  await call("DeleteWebhook", { name: "hook" });
}

async function everything() {
  await call("DeletePipeline", { name: "js" });
  await refused("PipelineNotFoundException", "GetPipeline", { name: "js" });
  const operations = Object.keys(sdk).filter((name) => name.endsWith("Command") && name !== "$Command");
  const missing = operations.map((name) => name.slice(0, -"Command".length)).filter((name) => name && !called.has(name));
  assert.deepEqual(missing, [], "every operation was called");
}

for (const part of [pipelines, jobs, tags, webhooks, everything]) {
  await part();
  console.log("held:", part.name);
}
