//! Which stack: its Function URL taken apart, its region, and where to connect.

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::args::StackArgs;
use crate::environment::variable;
use crate::exit::Unusable;

/// What names the API of a stack.
pub const URL_VARIABLE: &str = "PENSTOCK_API_URL";
const EXAMPLE: &str = "https://abc.lambda-url.eu-west-1.on.aws/";

/// The API of a deployed stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given.
    pub url: String,
    /// The name that requests are for, with a port where it is no default.
    pub host: String,
    /// Where the region stands or is said to be.
    pub region: String,
    /// What stands before an operation's path: nothing, or begins with a slash and does not end with one.
    pub base: String,
    /// Where to connect.
    pub scheme: Scheme,
    /// Where to connect.
    pub authority: Authority,
}

impl Target {
    /// The stack that arguments and environment name.
    ///
    /// # Errors
    /// None is named, what is named is no URL, or nothing says the region.
    pub fn find(args: &StackArgs, region: Option<&str>) -> Result<Self, Unusable> {
        let url = args.url.clone().or_else(|| variable(URL_VARIABLE)).ok_or_else(|| {
            Unusable::new(format!("which stack? Name its output ApiUrl with --url or {URL_VARIABLE}, as {EXAMPLE}"))
        })?;
        let region = region.map(str::to_owned).or_else(|| region_of(&url)).or_else(|| {
            let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            names.into_iter().find_map(variable)
        });
        Self::parse(&url, args.connect.as_deref(), region)
    }

    fn parse(url: &str, connect: Option<&str>, region: Option<String>) -> Result<Self, Unusable> {
        let (scheme, authority, path) = taken_apart("--url", url)?;
        let region =
            region.ok_or_else(|| Unusable::new(format!("--url {url}: no region in it; name it with --region")))?;
        let host = authority.as_str().strip_suffix(default_port(&scheme)).unwrap_or(authority.as_str()).to_owned();
        let base = path.trim_end_matches('/').to_owned();
        let (scheme, authority) = match connect {
            None => (scheme, authority),
            Some(connect) => {
                let (scheme, authority, path) = taken_apart("--connect", connect)?;
                if path != "/" {
                    return Err(Unusable::new(format!("--connect {connect}: write scheme, host and port only")));
                }
                (scheme, authority)
            }
        };
        if scheme == Scheme::HTTP && !is_loopback(authority.host()) {
            return Err(Unusable::new(format!("{authority}: http:// goes to this machine only; write https://")));
        }
        if scheme == Scheme::HTTPS && !cfg!(feature = "aws") {
            return Err(Unusable::new(format!(
                "{authority}: this build speaks http:// only; install one with --features aws for https://"
            )));
        }
        Ok(Self { url: url.into(), host, region, base, scheme, authority })
    }
}

fn default_port(scheme: &Scheme) -> &'static str {
    if *scheme == Scheme::HTTPS { ":443" } else { ":80" }
}

/// Scheme, authority and path.
fn taken_apart(option: &str, url: &str) -> Result<(Scheme, Authority, String), Unusable> {
    let wrong = |why: &str| Unusable::new(format!("{option} {url}: {why}, as in {EXAMPLE}"));
    let uri: Uri = url.parse().map_err(|_| wrong("that is no URL"))?;
    let parts = uri.into_parts();
    let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP);
    let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
        return Err(wrong("write it with https://"));
    };
    let path = parts.path_and_query.ok_or_else(|| wrong("that is no URL"))?;
    if authority.as_str().contains('@') || path.query().is_some() {
        return Err(wrong("write it without a user and a query"));
    }
    Ok((scheme, authority, path.path().into()))
}

/// The region in a Function URL's name.
fn region_of(url: &str) -> Option<String> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    let mut labels = host.split('.').skip_while(|label| *label != "lambda-url");
    labels.nth(1).map(str::to_owned)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_stands_in_a_function_url() {
        assert_eq!(region_of(EXAMPLE).as_deref(), Some("eu-west-1"));
        assert_eq!(region_of("https://api.example.org/").as_deref(), None);
    }

    #[test]
    fn an_emulator_is_reached_under_the_urls_own_name() {
        let target = Target::parse(EXAMPLE, Some("http://127.0.0.1:4566"), region_of(EXAMPLE)).unwrap();
        assert_eq!((target.host.as_str(), target.base.as_str()), ("abc.lambda-url.eu-west-1.on.aws", ""));
        assert_eq!((target.authority.as_str(), target.region.as_str()), ("127.0.0.1:4566", "eu-west-1"));
        let local = Target::parse("http://localhost:80/_aws/x/", None, Some("r".into())).unwrap();
        assert_eq!((local.host.as_str(), local.base.as_str()), ("localhost", "/_aws/x"));
    }

    #[test]
    fn what_cannot_be_reached_safely_is_refused() {
        let region = || Some("r".to_owned());
        for (url, connect, why) in [
            ("abc.lambda-url.eu-west-1.on.aws", None, "with https://"),
            ("ftp://x/", None, "with https://"),
            ("https://u@x/", None, "without a user"),
            ("https://x/?a=b", None, "without a user"),
            ("http://x.example.org/", None, "this machine only"),
            (EXAMPLE, Some("http://10.0.0.1:4566"), "this machine only"),
            (EXAMPLE, Some("http://127.0.0.1:4566/x"), "host and port only"),
        ] {
            let error = Target::parse(url, connect, region()).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
        assert!(Target::parse("http://127.0.0.1/", None, None).unwrap_err().to_string().contains("--region"));
    }
}
