"""Whole-process figures of a built penstock, as a table. Only Python's own library is needed.

Usage: whole_process.py PENSTOCK
Figures are medians of the runs named; the disk's fsync is measured in the same run, since it decides most of them.
"""
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PENSTOCK = os.path.abspath(sys.argv[1])
RUNS = 5
# Executions behind which the last rows are measured; 0 leaves them out.
HISTORY = int(os.environ.get("HISTORY", "10000"))
KEY, SECRET = "AKIDBENCHMARKING", "a-secret-for-the-benchmark"
CONNECTION = "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555"
local = threading.local()


def pipeline(name, stages, mode="QUEUED"):
    """A git source, then a stage of parallel `true` commands for each list of action names."""
    def action(name):
        return {"name": name, "inputArtifacts": [{"name": "Src"}], "commands": ["true"],
                "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"}}
    source = {"name": "Source", "outputArtifacts": [{"name": "Src"}],
              "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
              "configuration": {"ConnectionArn": CONNECTION, "FullRepositoryId": "g/p", "BranchName": "main"}}
    return {"pipeline": {"name": name, "roleArn": "arn:aws:iam::123456789012:role/p", "pipelineType": "V2",
                         "executionMode": mode, "artifactStore": {"type": "S3", "location": "artifacts"},
                         "stages": [{"name": "Source", "actions": [source]}] + [
                             {"name": f"s{n}", "actions": [action(a) for a in names]} for n, names in enumerate(stages)]}}


def signed(port, operation, arguments):
    body = json.dumps(arguments).encode()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    head = {"content-type": "application/x-amz-json-1.1", "host": f"127.0.0.1:{port}", "x-amz-date": now,
            "x-amz-target": f"CodePipeline_20150709.{operation}"}
    names = ";".join(sorted(head))
    scope = f"{now[:8]}/us-east-1/codepipeline/aws4_request"
    lines = [f"{name}:{head[name]}" for name in sorted(head)]
    canonical = "\n".join(["POST", "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    head["authorization"] = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    return body, head


def call(port, operation, **arguments):
    body, head = signed(port, operation, arguments)
    if getattr(local, "port", None) != port:
        local.port, local.connection = port, http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    local.connection.request("POST", "/", body, head)
    answer = local.connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (operation, answer.status, text)
    return json.loads(text)


class Server:
    """`penstock serve` in a directory; `ready` is the seconds from its start to its line on standard output."""

    def __init__(self, directory, data="data"):
        (directory / "credentials").write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        (directory / "credentials").chmod(0o600)
        started = time.perf_counter()
        self.log = directory / f"{data}.log"
        command = [PENSTOCK, "serve", "--listen", "127.0.0.1:0", "--data", data, "--credentials", "credentials"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True,
                                            env={**os.environ, "PENSTOCK_LOG": "info", "NO_COLOR": "1"})
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.ready = time.perf_counter() - started

    def create(self, *arguments):
        """A pipeline; the execution that its creation starts is waited for."""
        call(self.port, "CreatePipeline", **pipeline(*arguments))
        while True:
            found = call(self.port, "ListPipelineExecutions", pipelineName=arguments[0])["pipelineExecutionSummaries"]
            if all(execution["status"] != "InProgress" for execution in found):
                return
            time.sleep(0.005)

    def run(self, name):
        execution = call(self.port, "StartPipelineExecution", name=name)["pipelineExecutionId"]
        return self.wait(name, execution)

    def wait(self, name, execution):
        while True:
            found = call(self.port, "GetPipelineExecution", pipelineName=name, pipelineExecutionId=execution)
            if (status := found["pipelineExecution"]["status"]) != "InProgress":
                assert status == "Succeeded", status
                return execution
            time.sleep(0.005)

    def took(self, name):
        """Runs it; the seconds from its start to its end as they are recorded, since those who ask see it later."""
        self.run(name)
        newest = call(self.port, "ListPipelineExecutions", pipelineName=name, maxResults=1)["pipelineExecutionSummaries"][0]
        return newest["lastUpdateTime"] - newest["startTime"]

    def resident(self):
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def processor_seconds(self):
        """Its own and its ended children's."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()

    def counted(self):
        """What a server that was ended says it did: transactions, fsyncs."""
        last = next(line for line in reversed(self.log.read_text().splitlines()) if "closed" in line)
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", last)}


def many(server, executions=200, pipelines=10, prefix="many"):
    """Executions started at once, over several pipelines; seconds until all have ended."""
    def start(number):
        name = f"{prefix}{number % pipelines}"
        return name, call(server.port, "StartPipelineExecution", name=name)["pipelineExecutionId"]
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(start, range(executions)))
    for handle in handles:
        server.wait(*handle)
    return time.perf_counter() - started


def timed(what):
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def fsync(directory, rest):
    """The median seconds of a journal's flush: 1 KB over blocks that the file has, this long after the one before."""
    with open(directory / "probe", "wb", buffering=0) as probe:
        probe.write(bytes(64 * 1024))
        os.fsync(probe.fileno())
        probe.seek(0)
        def once():
            probe.write(b"x" * 1024)
            os.fdatasync(probe.fileno())
        def rested():
            time.sleep(rest)
            return timed(once)
        return statistics.median(rested() for _ in range(50))


def row(name, seconds, note=""):
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"| {name} | {middle * 1000:.1f} | {low * 1000:.1f} | {high * 1000:.1f} | {note} |", flush=True)


def repository(directory):
    source = directory / "src"
    source.mkdir()
    (source / "a").write_text("b")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=source, check=True)
    (directory / "penstock.toml").write_text('[source."Source"]\npath = "src"\n')


def runs(directory):
    for name, stages in (("chain of 20", [[f"a{n}"] for n in range(20)]), ("50 in parallel", [[f"a{n}" for n in range(50)]])):
        file = directory / "pipeline.json"
        file.write_text(json.dumps(pipeline("bench", stages)))
        def once(number):
            data = f"run-{len(stages)}-{number}"
            command = [PENSTOCK, "run", str(file), "--format", "json", "--data", data]
            return timed(lambda: subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        seconds = [once(number) for number in range(RUNS)]
        actions = sum(map(len, stages))
        row(f"run: {name}", seconds, f"{statistics.median(seconds) * 1000 / actions:.2f} ms an action")


def serves(directory):
    server = Server(directory)
    for number in range(10):
        server.create(f"many{number}", [["a0"], ["a1"], ["a2"]], "PARALLEL")
    server.create("one", [["a"]])
    row("serve: start to end, one action", [timed(lambda: server.run("one")) for _ in range(RUNS)])
    seconds = [many(server) for _ in range(3)]
    row("serve: 200 executions of 3 actions", seconds, f"{200 / statistics.median(seconds):.0f} executions/s")
    print(f"| serve: resident | {server.resident():.1f} MiB | | | after {600 * 3} actions |", flush=True)
    ready(directory, server)


def fsyncs(directory):
    """How many fsyncs an action costs while many run: sources count as actions, too."""
    server = Server(directory, "counted")
    for number in range(10):
        server.create(f"many{number}", [["a0"], ["a1"], ["a2"]], "PARALLEL")
    # What the creations did, one after the other, is not counted.
    server.end(signal.SIGTERM)
    server = Server(directory, "counted")
    before = server.processor_seconds()
    seconds = many(server)
    used = server.processor_seconds() - before
    server.end(signal.SIGTERM)
    counted = server.counted()
    actions = 200 * 4
    syncs = counted["journal_syncs"] + counted["artifact_syncs"] + 2 * counted["checkpoints"]
    print(f"| serve: fsyncs an action under load | {syncs / actions:.2f} | | | "
          f"{counted['journal_syncs']} of the journal, {counted['artifact_syncs']} of artifacts, {counted['checkpoints']} checkpoints; "
          f"{counted['transactions'] / actions:.1f} transactions an action |")
    print(f"| serve: processor time an action under load | {used * 1000 / 800:.2f} ms | | | with its program; {seconds:.2f} s in all |", flush=True)


def program():
    """The median seconds from fork to the end of a shell that does what an action's session does."""
    def once():
        child = os.posix_spawn("/bin/sh", ["sh", "-c", "eval true"], os.environ)
        assert os.waitpid(child, 0)[1] == 0
    return statistics.median(timed(once) for _ in range(50))


def overhead(where, name):
    """What an action of a chain costs beyond its program: of twice as many, so that nothing else counts."""
    with tempfile.TemporaryDirectory(dir=where) as directory:
        directory = pathlib.Path(directory)
        repository(directory)
        server = Server(directory)
        chains = {count: f"chain{count}" for count in (20, 40)}
        for count, chain in chains.items():
            server.create(chain, [[f"a{n}"] for n in range(count)])
        seconds = {count: [server.took(chain) for _ in range(4 * RUNS)] for count, chain in chains.items()}
        server.end(signal.SIGTERM)
        counted = server.counted()
        flush = fsync(directory, 0.005)
    own = (min(seconds[40]) - min(seconds[20])) / 20 - program()
    middle = (statistics.median(seconds[40]) - statistics.median(seconds[20])) / 20 - program()
    syncs = (counted["journal_syncs"] + counted["artifact_syncs"]) / ((20 + 40 + 2) * (4 * RUNS + 1))
    print(f"| {name} | {middle * 1000:.2f} | {own * 1000:.2f} | | beyond {program() * 1000:.2f} ms of its program; "
          f"{syncs:.1f} fsyncs an action of {flush * 1000:.2f} ms |", flush=True)


def history(directory):
    """What a long history costs: one action, and starts."""
    server = Server(directory, "history")
    for number in range(10):
        server.create(f"h{number}", [["a"]], "PARALLEL")
    server.create("one", [["a"]])
    row("serve: one action at 10 executions", [timed(lambda: server.run("one")) for _ in range(4 * RUNS)])
    for _ in range(HISTORY // 500):
        many(server, 500, prefix="h")
    row(f"serve: one action at {HISTORY:,} executions", [timed(lambda: server.run("one")) for _ in range(4 * RUNS)])
    print(f"| serve: resident | {server.resident():.1f} MiB | | | at {HISTORY:,} executions |", flush=True)
    ready(directory, server, "history", f" at {HISTORY:,} executions")


def ready(directory, server, data="data", where=""):
    """How long a start takes after each kind of end, an action having run before it."""
    for how, name in ((signal.SIGTERM, "a clean stop"), (signal.SIGKILL, "kill -9")):
        seconds = []
        for _ in range(RUNS):
            server.run("one")
            server.end(how)
            server = Server(directory, data)
            seconds.append(server.ready)
        row(f"serve: ready after {name}{where}", seconds)
    print(f"| serve: resident after a start{where} | {server.resident():.1f} MiB | | | |", flush=True)
    server.end(signal.SIGTERM)


with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    repository(scratch)
    print(f"one fdatasync of 1 KB: {fsync(scratch, 0) * 1000:.2f} ms, after 5 ms of rest {fsync(scratch, 0.005) * 1000:.2f} ms\n")
    print("| what | median ms | min | max | |\n|---|--:|--:|--:|---|")
    runs(scratch)
    serves(scratch)
    fsyncs(scratch)
    overhead(scratch, "serve: own overhead an action")
    if os.path.isdir("/dev/shm"):
        overhead("/dev/shm", "serve: own overhead an action, in memory")
    if HISTORY:
        history(scratch)
