//! What AWS's own services say of a stack: CloudFormation, CloudWatch and STS, by their query protocol. Three questions are
//! not worth three SDKs.

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use local::sign::Keys;
use xmlparser::{ElementEnd, Token, Tokenizer};

use crate::environment::variable;
use crate::proxy::{Outgoing, Upstream};

/// The largest answer: a page of alarms with their descriptions.
const MAX_ANSWER: usize = 1024 * 1024;

/// A service that is asked.
#[derive(Clone, Copy)]
pub struct Service {
    /// In addresses.
    host: &'static str,
    /// In signatures.
    signed: &'static str,
    /// In variables that name another endpoint.
    variable: &'static str,
    version: &'static str,
}

/// CloudFormation.
pub const CLOUDFORMATION: Service = Service {
    host: "cloudformation",
    signed: "cloudformation",
    variable: "AWS_ENDPOINT_URL_CLOUDFORMATION",
    version: "2010-05-15",
};
/// CloudWatch.
pub const CLOUDWATCH: Service = Service {
    host: "monitoring",
    signed: "monitoring",
    variable: "AWS_ENDPOINT_URL_CLOUDWATCH",
    version: "2010-08-01",
};
/// STS.
pub const STS: Service =
    Service { host: "sts", signed: "sts", variable: "AWS_ENDPOINT_URL_STS", version: "2011-06-15" };

/// The texts of an answer: element → text, in order.
pub type Texts = Vec<(String, String)>;

/// Asks a service.
///
/// # Errors
/// What it says is wrong, or that it does not answer.
pub async fn ask(
    upstream: &Upstream,
    service: Service,
    region: &str,
    keys: &Keys,
    action: &str,
    given: &[(&str, &str)],
) -> Result<Texts, String> {
    let (scheme, authority) = endpoint(service, region)?;
    let mut form = vec![("Action", action), ("Version", service.version)];
    form.extend(given);
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form)]);
    let request = Outgoing {
        to: (&scheme, &authority),
        host: authority.as_str(),
        path: "/",
        scope: (service.signed, region),
        headers: &headers,
        body: body.join("&").into(),
    };
    let unreachable = |why: String| format!("{authority} does not answer: {why}");
    let response = upstream.send(request, keys).await.map_err(|error| unreachable(error.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
    let texts = texts(&String::from_utf8_lossy(&body));
    if status.is_success() {
        return Ok(texts);
    }
    let said = |name: &str| texts.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text.as_str());
    Err(format!("{}: {} (status {status})", said("Code"), said("Message")))
}

fn endpoint(service: Service, region: &str) -> Result<(Scheme, Authority), String> {
    let names = [service.variable, "AWS_ENDPOINT_URL"];
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = names.into_iter().find_map(variable);
    let url = url.unwrap_or_else(|| format!("https://{}.{region}.{suffix}", service.host));
    let parts = url.parse::<Uri>().map(Uri::into_parts).map_err(|_| format!("{url} is no URL"))?;
    match (parts.scheme, parts.authority) {
        (Some(scheme), Some(_)) if scheme == Scheme::HTTPS && !cfg!(feature = "aws") => {
            Err(format!("{url}: this build speaks http:// only; install one with --features aws"))
        }
        (Some(scheme), Some(authority)) => Ok((scheme, authority)),
        _ => Err(format!("{url} is no URL")),
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The texts of elements that hold nothing but text.
fn texts(xml: &str) -> Texts {
    let (mut texts, mut element, mut text) = (Vec::new(), String::new(), String::new());
    for token in Tokenizer::from(xml).map_while(Result::ok) {
        match token {
            Token::ElementStart { local, .. } => {
                element = local.as_str().to_owned();
                text.clear();
            }
            Token::Text { text: part } | Token::Cdata { text: part, .. } => text.push_str(part.as_str()),
            Token::ElementEnd { end: ElementEnd::Close(_, local), .. } if local.as_str() == element => {
                texts.push((std::mem::take(&mut element), unescaped(text.trim())));
            }
            _ => {}
        }
    }
    texts
}

fn unescaped(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.into_iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_an_answer_are_found() {
        let xml = "<?xml version=\"1.0\"?><R xmlns=\"u\"><Outputs><member><OutputKey>ApiUrl</OutputKey>\n\
                   <OutputValue>https://x/?a=1&amp;b</OutputValue></member></Outputs><Empty/></R>";
        let found = texts(xml);
        let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(found, [("OutputKey", "ApiUrl"), ("OutputValue", "https://x/?a=1&b")]);
        assert!(texts("<a><b>no end").is_empty());
    }

    #[test]
    fn what_a_form_cannot_hold_is_encoded() {
        assert_eq!(encoded("a b/c-d"), "a%20b%2Fc-d");
    }
}
