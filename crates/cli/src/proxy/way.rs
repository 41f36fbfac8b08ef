//! The way out of this network: straight, or through the proxy that `HTTPS_PROXY` names, but for hosts of `NO_PROXY`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

type Stream = TokioIo<TcpStream>;
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connects; what is encrypted afterwards goes through a tunnel where the environment says so.
#[derive(Clone)]
pub struct Way {
    straight: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Way {
    /// As the environment says: `HTTPS_PROXY`, else `ALL_PROXY`, and `NO_PROXY`, or their lower-case names.
    pub fn of_environment(straight: HttpConnector) -> Self {
        Self { straight, proxies: Arc::new(Matcher::from_env()) }
    }
}

impl Service<Uri> for Way {
    type Response = Stream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.straight.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let mut straight = self.straight.clone();
        // `http://` goes to this machine only.
        let proxy = self.proxies.intercept(&to).filter(|_| to.scheme() == Some(&Scheme::HTTPS));
        let Some(proxy) = proxy else { return Box::pin(async move { Ok(straight.call(to).await?) }) };
        if proxy.uri().scheme() != Some(&Scheme::HTTP) {
            let scheme = proxy.uri().scheme_str().unwrap_or_default().to_owned();
            let wrong = format!("HTTPS_PROXY names a {scheme}:// proxy; only http:// ones are spoken to");
            return Box::pin(async move { Err(wrong.into()) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), straight);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        Box::pin(async move { Ok(tunnel.call(to).await?) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    fn way(proxy: &str, no: &str) -> Way {
        let mut straight = HttpConnector::new();
        straight.enforce_http(false);
        Way { straight, proxies: Arc::new(Matcher::builder().all(proxy).no(no).build()) }
    }

    /// Takes one connection, answers, and tells the lines that came.
    async fn taken(listener: TcpListener, answer: &str) -> Vec<String> {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = stream.split();
        let (mut lines, mut told) = (BufReader::new(reader).lines(), Vec::new());
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
            told.push(line);
        }
        writer.write_all(answer.as_bytes()).await.unwrap();
        told
    }

    #[tokio::test]
    async fn what_is_encrypted_goes_through_the_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://ann:secret@{}", listener.local_addr().unwrap());
        let to = Uri::from_static("https://abc.lambda-url.eu-west-1.on.aws/");
        let mut way = way(&proxy, "");
        let (told, reached) = tokio::join!(taken(listener, "HTTP/1.1 200 OK\r\n\r\n"), way.call(to));
        reached.unwrap();
        assert_eq!(told[0], "CONNECT abc.lambda-url.eu-west-1.on.aws:443 HTTP/1.1");
        // ann:secret
        let given = told.iter().any(|line| line.eq_ignore_ascii_case("proxy-authorization: Basic YW5uOnNlY3JldA=="));
        assert!(given, "{told:?}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_an_error_without_its_credentials() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://ann:secret@{}", listener.local_addr().unwrap());
        let to = Uri::from_static("https://abc.lambda-url.eu-west-1.on.aws/");
        let mut way = way(&proxy, "");
        let (_, reached) = tokio::join!(taken(listener, "HTTP/1.1 403 Forbidden\r\n\r\n"), way.call(to.clone()));
        assert!(!format!("{:?}", reached.unwrap_err()).contains("secret"));
        let error = super::tests::way("socks5://ann:secret@127.0.0.1:1", "").call(to).await.unwrap_err().to_string();
        assert_eq!(error, "HTTPS_PROXY names a socks5:// proxy; only http:// ones are spoken to");
    }

    #[tokio::test]
    async fn loopback_and_hosts_of_no_proxy_are_reached_straight() {
        // Nothing listens at the proxy.
        for (scheme, no) in [("http", ""), ("https", "127.0.0.1")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to: Uri = format!("{scheme}://{}/", listener.local_addr().unwrap()).parse().unwrap();
            let mut way = way("http://127.0.0.1:1", no);
            let (reached, accepted) = tokio::join!(way.call(to), listener.accept());
            assert!(reached.is_ok() && accepted.is_ok(), "{scheme}");
        }
    }
}
