//! Names of subjects, and their URIs.

use std::fmt;
use std::str::FromStr;

use coracle_proto::NodeId;

use super::IdentityError;

/// Longest name of a cluster or client, in bytes.
pub const MAX_LABEL_BYTES: usize = 64;

const SCHEME: &str = "coracle://";

/// Name of a cluster: 1 to [`MAX_LABEL_BYTES`] of `a-z A-Z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

impl ClusterName {
    /// Checks a name.
    pub fn new(name: &str) -> Result<Self, IdentityError> {
        check_label(name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The cluster's certificate authority.
    Authority,
    /// A node.
    Node(NodeId),
    /// A client or administrator.
    Client(String),
}

/// The name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Who in that cluster.
    pub subject: Subject,
}

impl Name {
    /// The name of a node.
    pub fn node(cluster: &ClusterName, node: NodeId) -> Self {
        Self {
            cluster: cluster.clone(),
            subject: Subject::Node(node),
        }
    }

    /// The name of a client.
    pub fn client(cluster: &ClusterName, client: &str) -> Result<Self, IdentityError> {
        check_label(client)?;
        Ok(Self {
            cluster: cluster.clone(),
            subject: Subject::Client(client.to_owned()),
        })
    }

    /// The name of the cluster's authority.
    pub fn authority(cluster: &ClusterName) -> Self {
        Self {
            cluster: cluster.clone(),
            subject: Subject::Authority,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.cluster)?;
        match &self.subject {
            Subject::Authority => Ok(()),
            Subject::Node(node) => write!(f, "/node/{}", node.0),
            Subject::Client(name) => write!(f, "/client/{name}"),
        }
    }
}

impl FromStr for Name {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        let refused = || IdentityError::Uri {
            uri: uri.to_owned(),
        };
        let rest = uri.strip_prefix(SCHEME).ok_or_else(refused)?;
        let mut parts = rest.splitn(3, '/');
        let cluster = ClusterName::new(parts.next().unwrap_or_default())?;
        match (parts.next(), parts.next()) {
            (None, None) => Ok(Self::authority(&cluster)),
            (Some("node"), Some(id)) => {
                let node = parse_node(id).ok_or_else(refused)?;
                Ok(Self::node(&cluster, node))
            }
            (Some("client"), Some(name)) => Self::client(&cluster, name),
            _ => Err(refused()),
        }
    }
}

/// Decimal without sign or leading zeros, so that a node has one name only.
fn parse_node(text: &str) -> Option<NodeId> {
    let id: u64 = text.parse().ok()?;
    (id != 0 && id.to_string() == text).then_some(NodeId(id))
}

fn check_label(value: &str) -> Result<(), IdentityError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if value.is_empty() || value.len() > MAX_LABEL_BYTES || !value.bytes().all(allowed) {
        return Err(IdentityError::Label {
            value: value.chars().take(MAX_LABEL_BYTES).collect(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_uri() {
        for uri in [
            "coracle://prod",
            "coracle://prod/node/7",
            "coracle://a.b-c_1/client/ops",
        ] {
            let name: Name = uri.parse().expect(uri);
            assert_eq!(name.to_string(), uri);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for uri in [
            "",
            "http://prod/node/7",
            "coracle://",
            "coracle://a b/node/1",
            "coracle://prod/node/",
            "coracle://prod/node/0",
            "coracle://prod/node/07",
            "coracle://prod/node/+7",
            "coracle://prod/node/7/x",
            "coracle://prod/client/",
            "coracle://prod/admin/x",
            "coracle://prod/node",
        ] {
            assert!(uri.parse::<Name>().is_err(), "{uri}");
        }
    }
}
