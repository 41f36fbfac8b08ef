//! Requests that botocore signs verify here: what the vectors hold at one time, for the version that is installed.

use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use api::sigv4::Verifier;
use http::Request;
use model::Timestamp;
use serde_json::Value;

use super::server::{ACCESS_KEY, OneUser, SECRET};

/// Signs calls of several operations as the SDK sends them, and prints each.
const SCRIPT: &str = r#"
import json, sys
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

sent = []

def capture(request, **_):
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
    body = request.body or b''
    body = body.encode() if isinstance(body, str) else bytes(body)
    sent.append({'method': request.method, 'url': request.url, 'headers': headers, 'body': body.hex()})
    raw = type('Raw', (), {'stream': lambda self, *a, **k: iter([b'{}'])})()
    return AWSResponse(request.url, 200, {'content-type': 'application/x-amz-json-1.1'}, raw)

for port in (80, 7707):
    client = botocore.session.get_session().create_client(
        'codepipeline', region_name='eu-west-1', endpoint_url=f'http://127.0.0.1:{port}',
        aws_access_key_id=sys.argv[1], aws_secret_access_key=sys.argv[2], config=Config(retries={'max_attempts': 0}))
    client.meta.events.register('before-send', capture)
    client.list_pipelines()
    client.start_pipeline_execution(name='release', variables=[{'name': 'n', 'value': 'sch\u00f6n \U0001f600'}])
    client.put_approval_result(pipelineName='p', stageName='s', actionName='a', result={'summary': '', 'status': 'Approved'},
                               token='00000000-0000-0000-0000-000000000000')
print(json.dumps(sent))
"#;

/// The interpreter that `make test` sets up, else the system's.
fn python() -> std::ffi::OsString {
    std::env::var_os("PENSTOCK_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

#[test]
fn requests_signed_by_the_installed_botocore_verify() {
    let output = Command::new(python()).args(["-c", SCRIPT, ACCESS_KEY, SECRET]).output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("ModuleNotFoundError") => {
            eprintln!("SKIPPED: botocore is not installed");
            return;
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            eprintln!("SKIPPED: there is no Python ({error})");
            return;
        }
    };
    let sent: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sent.len(), 6);
    let verifier = Verifier::new(Arc::new(OneUser), "codepipeline");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = Timestamp(i64::try_from(now).unwrap());
    for request in sent {
        let body = unhex(request["body"].as_str().unwrap());
        let url: http::Uri = request["url"].as_str().unwrap().parse().unwrap();
        let mut built = Request::builder().method(request["method"].as_str().unwrap()).uri(url.path());
        for (name, value) in request["headers"].as_object().unwrap() {
            built = built.header(name, value.as_str().unwrap());
        }
        // The HTTP library adds the host when it sends: without the default port.
        let host = url.authority().unwrap().as_str();
        let built = built.header("host", host.strip_suffix(":80").unwrap_or(host));
        let parts = built.body(()).unwrap().into_parts().0;
        let identity = verifier.verify(&parts, &body, now).expect("botocore's signature");
        assert_eq!((identity.access_key.as_str(), identity.region.as_str()), (ACCESS_KEY, "eu-west-1"));
        assert!(verifier.verify(&parts, &[&body[..], b" "].concat(), now).is_err());
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}
