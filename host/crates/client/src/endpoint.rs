//! Where a node listens.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Base URL of a node's HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    authority: Authority,
}

/// Not the URL of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an endpoint: {reason}; want http://HOST:PORT")]
pub struct InvalidEndpoint {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// The URL of a path below this endpoint.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path.clone());
        Uri::from_parts(parts).expect("scheme, authority and path are all there")
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = |reason| InvalidEndpoint {
            text: text.to_owned(),
            reason,
        };
        let uri: Uri = text.parse().map_err(|_| invalid("it is no URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(invalid("this client does not speak https yet")),
            _ => return Err(invalid("its scheme is not http")),
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(invalid("it has a path"));
        }
        let authority = uri.authority().filter(|a| !a.host().is_empty());
        let authority = authority.ok_or_else(|| invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it has a user name"));
        }
        Ok(Self {
            authority: authority.clone(),
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_base_urls_are_endpoints() {
        for (text, shown) in [
            ("http://127.0.0.1:7401", "http://127.0.0.1:7401"),
            ("http://localhost:7401/", "http://localhost:7401"),
            ("http://[::1]:7401", "http://[::1]:7401"),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().map(|e| e.to_string()).as_deref(),
                Ok(shown)
            );
        }
        for bad in [
            "",
            "127.0.0.1:7401",
            "https://a:1",
            "ftp://a",
            "http://a/b",
            "http://a?b",
            "http://u@a",
        ] {
            let error = bad.parse::<Endpoint>().expect_err(bad);
            assert!(
                error.to_string().contains("want http://HOST:PORT"),
                "{error}"
            );
        }
    }
}
