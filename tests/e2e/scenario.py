"""The main job on a deployed stack: an object in S3, an approval by link, a deploy; and what the bus told of it."""
import sys
import time

from stack import action, archive, connect, s3_source


def the_main_job(stack, name):
    source, site = f"{name}-source", f"{name}-site"
    for bucket in (source, site):
        stack.s3.create_bucket(Bucket=bucket)
    stack.s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    stack.s3.put_object(Bucket=source, Key="app.zip", Body=archive({"index.html": "<h1>one</h1>", "a/b.txt": "deep"}))
    listener = stack.listen(name)
    made = stack.declare(name, [
        {"name": "Source", "actions": [s3_source(source)]},
        {"name": "Check", "actions": [action("Decide", "Approval", "Manual", {"CustomData": "look at it"})]},
        {"name": "Ship", "actions": [
            action("Publish", "Deploy", "S3", {"BucketName": site, "Extract": "true"}, inputs=["App"])]},
    ])
    assert made["version"] == 1, made
    began = time.monotonic()
    execution = stack.pipelines.start_pipeline_execution(name=name)["pipelineExecutionId"]

    def pending():
        actions = {found["actionName"]: found for found in stack.actions(name, execution)}
        failed = [found for found in actions.values() if found["status"] == "Failed"]
        assert not failed, failed
        return actions.get("Decide", {}).get("status") == "InProgress"

    stack.until("a pending approval", pending)
    print(f"start to pending approval {time.monotonic() - began:.1f} s")
    link = stack.extension(
        "GetApprovalLink", pipelineName=name, stageName="Check", actionName="Decide", recipient="ann@example.com")["url"]
    status, page = stack.open(link)
    assert status == 200 and "look at it" in page, (status, page)
    status, page = stack.open(link, {"decision": "approve", "summary": "fine"})
    assert status == 200, (status, page)
    status, page = stack.open(link, {"decision": "approve", "summary": "again"})
    assert status == 409 and "Already decided" in page, (status, page)
    stack.until_status(name, execution, "Succeeded")
    print(f"start to end {time.monotonic() - began:.1f} s")
    assert stack.s3.get_object(Bucket=site, Key="index.html")["Body"].read() == b"<h1>one</h1>"
    assert stack.s3.get_object(Bucket=site, Key="a/b.txt")["Body"].read() == b"deep"
    told(stack, listener, execution)


def told(stack, listener, execution):
    """Every state change stands on the bus once."""
    def ended():
        events = listener.of(execution)
        return any(event["detail-type"] == "CodePipeline Pipeline Execution State Change"
                   and event["detail"]["state"] == "SUCCEEDED" for event in events)
    stack.until("the pipeline's end on the bus", ended)
    time.sleep(2)
    seen = []
    for event in listener.of(execution):
        detail = event["detail"]
        subject = detail.get("action") or detail.get("stage") or "pipeline"
        seen.append((subject, detail["state"]))
    wanted = {(subject, state) for subject in ("pipeline", "Source", "Check", "Ship", "Fetch", "Decide", "Publish")
              for state in ("STARTED", "SUCCEEDED")}
    assert set(seen) == wanted, sorted(set(seen) ^ wanted)
    assert len(seen) == len(wanted), sorted(seen)


def main():
    stack = connect()
    stamp = str(time.time_ns())[-9:]
    scenarios = [the_main_job]
    for scenario in scenarios:
        began = time.monotonic()
        scenario(stack, f"{scenario.__name__.replace('_', '-')}-{stamp}")
        print(f"ok {scenario.__name__} {time.monotonic() - began:.1f} s", flush=True)
    assert stack.dead_letters() == 0, "there are dead letters"
    print(f"{len(scenarios)} passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
