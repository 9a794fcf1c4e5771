//! A service that answers every request at once, so that what is fuzzed is the way to it and back.

use std::time::Duration;

use bytes::Bytes;
use coracle::api::{
    ApiError, Applied, Future, LeaderAction, Members, OpenSnapshot, Queried, QueryTerms, Service,
    Snapshots,
};
use coracle::events::Subscriber;
use coracle_client::{
    Barrier, ChangeMember, Check, Code, ConfigChange, ConfigChanged, ConfigView, CreateFsm,
    CreateToken, DigestHex, Drained, EventFilter, FsmInfo, ImageReceived, Leaders, Leadership,
    MemberChanged, MemberList, PlaceFsm, Placed, PluginInfo, Removed, Restore, Restored,
    SnapshotList, Snapshotted, Spread, Status, TokenCreated, TokenList, TokenRevoked, Upgraded,
};

/// Commands and queries come back as they are; everything else is refused.
#[derive(Debug)]
pub(crate) struct Echo;

fn refusal() -> ApiError {
    ApiError::new(Code::Unavailable, "nobody is here")
}

fn refused<'a, T: Send + 'a>() -> Future<'a, T> {
    Box::pin(async { Err(refusal()) })
}

impl Service for Echo {
    fn apply<'a>(
        &'a self,
        _: &'a str,
        body: Bytes,
        key: Option<String>,
        _: Duration,
    ) -> Future<'a, Applied> {
        let applied = Applied {
            index: 7,
            term: Some(3),
            reply: body.to_vec(),
            replayed: key.is_some(),
            node: 1,
        };
        Box::pin(async { Ok(applied) })
    }

    fn query<'a>(
        &'a self,
        _: &'a str,
        body: Bytes,
        terms: QueryTerms,
        _: Duration,
    ) -> Future<'a, Queried> {
        let queried = Queried {
            index: 7,
            reply: body.to_vec(),
            consistency: terms.consistency,
            term: None,
            node: 1,
            staleness: terms.max_staleness,
        };
        Box::pin(async { Ok(queried) })
    }

    fn barrier<'a>(&'a self, _: &'a str, _: Duration) -> Future<'a, Barrier> {
        refused()
    }

    fn leaders<'a>(&'a self, _: Option<&'a str>) -> Future<'a, Leaders> {
        refused()
    }

    fn lead<'a>(
        &'a self,
        _: Option<&'a str>,
        _: LeaderAction,
        _: Duration,
    ) -> Future<'a, Leadership> {
        refused()
    }

    fn spread(&self, _: Duration) -> Future<'_, Spread> {
        refused()
    }

    fn drain(&self, _: bool, _: Duration) -> Future<'_, Drained> {
        refused()
    }

    fn config(&self) -> Future<'_, ConfigView> {
        refused()
    }

    fn set_config(&self, _: ConfigChange, _: Duration) -> Future<'_, ConfigChanged> {
        refused()
    }

    fn scrape(&self) -> Future<'_, String> {
        Box::pin(async { Ok("# EOF\n".to_owned()) })
    }

    fn follow(&self, _: EventFilter, _: Option<u64>) -> Result<Subscriber, ApiError> {
        Err(refusal())
    }

    fn put_plugin(&self, _: DigestHex, _: Bytes) -> Future<'_, PluginInfo> {
        refused()
    }

    fn list_plugins(&self) -> Future<'_, Vec<PluginInfo>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn create_fsm<'a>(&'a self, _: &'a str, _: CreateFsm) -> Future<'a, FsmInfo> {
        refused()
    }

    fn list_fsms(&self) -> Future<'_, Vec<FsmInfo>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn get_fsm<'a>(&'a self, _: &'a str) -> Future<'a, FsmInfo> {
        refused()
    }

    fn remove_fsm<'a>(&'a self, _: &'a str) -> Future<'a, Removed> {
        refused()
    }

    fn upgrade<'a>(&'a self, _: &'a str, _: DigestHex) -> Future<'a, Upgraded> {
        refused()
    }

    fn snapshot<'a>(&'a self, _: &'a str) -> Future<'a, Snapshotted> {
        refused()
    }

    fn status(&self) -> Future<'_, Status> {
        refused()
    }

    fn live(&self) -> Vec<Check> {
        Vec::new()
    }

    fn ready(&self) -> Vec<Check> {
        Vec::new()
    }
}

impl Members for Echo {
    fn members(&self) -> Future<'_, MemberList> {
        refused()
    }

    fn change_member(&self, _: u64, _: ChangeMember, _: Duration) -> Future<'_, MemberChanged> {
        refused()
    }

    fn place_fsm(&self, _: String, _: PlaceFsm, _: Duration) -> Future<'_, Placed> {
        refused()
    }

    fn create_token(&self, _: CreateToken, _: Duration) -> Future<'_, TokenCreated> {
        refused()
    }

    fn tokens(&self, _: Duration) -> Future<'_, TokenList> {
        refused()
    }

    fn revoke_token(&self, _: u64, _: Duration) -> Future<'_, TokenRevoked> {
        refused()
    }
}

impl Snapshots for Echo {
    fn snapshots<'a>(&'a self, _: &'a str) -> Future<'a, SnapshotList> {
        refused()
    }

    fn open_snapshot<'a>(
        &'a self,
        _: &'a str,
        _: Option<u64>,
    ) -> Future<'a, Box<dyn OpenSnapshot>> {
        refused()
    }

    fn add_to_image(&self, _: DigestHex, _: u64, _: Bytes) -> Future<'_, ImageReceived> {
        refused()
    }

    fn finish_image(&self, _: DigestHex) -> Future<'_, ImageReceived> {
        refused()
    }

    fn restore<'a>(&'a self, _: &'a str, _: Restore) -> Future<'a, Restored> {
        refused()
    }
}
