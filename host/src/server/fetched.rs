//! Large objects (plugins, images) that are fetched from other nodes, and why they could not be.

use coracle_client::Code;
use coracle_proto::NodeId;
use coracle_transport::BulkError;

use super::call::Failure;

/// Why one node did not give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotFetched {
    /// It was asked and does not have it.
    Refused(String),
    /// It could not be asked, or what came was cut off or damaged: another try may help.
    Failed(String),
}

impl From<BulkError> for NotFetched {
    fn from(error: BulkError) -> Self {
        match error {
            BulkError::Refused { .. } => Self::Refused(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What is said when no node gave `what`: not found only if every one of them was asked.
pub(super) fn nobody_gave(what: &str, tried: &[(NodeId, NotFetched)]) -> Failure {
    let reasons = tried.iter().map(|(node, why)| match why {
        NotFetched::Refused(reason) | NotFetched::Failed(reason) => format!("{node}: {reason}"),
    });
    let reasons: Vec<String> = reasons.collect();
    let reasons = match reasons.is_empty() {
        true => "no other node is known".to_owned(),
        false => reasons.join("; "),
    };
    let all_asked = tried
        .iter()
        .all(|(_, why)| matches!(why, NotFetched::Refused(_)));
    let code = match all_asked {
        true => Code::NotFound,
        false => Code::Unavailable,
    };
    let detail = format!("{what} is not here and could not be fetched: {reasons}");
    Failure::not_applied(code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_asked_for_may_still_be_somewhere() {
        let refused = NotFetched::from(BulkError::Refused {
            reason: "no such plugin".to_owned(),
        });
        let away = NotFetched::from(BulkError::NotConnected {
            reason: "no answer within 1s".to_owned(),
        });
        let of = |tried: &[NotFetched]| {
            let tried: Vec<_> = tried.iter().map(|why| (NodeId(2), why.clone())).collect();
            nobody_gave("plugin 00", &tried).code
        };
        assert_eq!(of(&[]), Code::NotFound);
        assert_eq!(of(std::slice::from_ref(&refused)), Code::NotFound);
        assert_eq!(of(&[refused, away]), Code::Unavailable);
    }
}
