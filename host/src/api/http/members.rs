//! `/v1/members` and `/v1/tokens`.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use coracle_client::{
    ChangeMember, ChangeParameters, Code, CreateToken, MemberChanged, MemberInfo, MemberList,
    PlaceFsm, Placed, TokenCreated, TokenList, TokenRevoked,
};

use super::{Api, request};
use crate::api::ApiError;

type Given<T> = Result<Path<T>, PathRejection>;

pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<MemberList>, ApiError> {
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    request::read_within(limit, api.service.members())
        .await
        .map(Json)
}

pub(super) async fn show(
    State(api): State<Api>,
    node: Given<String>,
    headers: HeaderMap,
) -> Result<Json<MemberInfo>, ApiError> {
    let node = node_id(node)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let list = request::read_within(limit, api.service.members()).await?;
    let found = list.members.into_iter().find(|member| member.node == node);
    found.map(Json).ok_or_else(|| {
        ApiError::new(Code::NotFound, format!("there is no node {node}"))
            .with_hint("see `coracle members list`")
    })
}

pub(super) async fn change(
    State(api): State<Api>,
    path: Given<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MemberChanged>, ApiError> {
    let Path((node, operation)) = path.map_err(|e| bad(e.to_string()))?;
    let node = parse_node(&node)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let given: ChangeParameters = request::json(&headers, body).await?;
    if operation == "remove" {
        return Err(bad("to remove a node, DELETE it".to_owned()));
    }
    let change = ChangeMember::new(&operation, given).map_err(bad)?;
    request::within(limit, api.service.change_member(node, change, limit))
        .await
        .map(Json)
}

pub(super) async fn remove(
    State(api): State<Api>,
    node: Given<String>,
    given: Result<Query<ChangeParameters>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<MemberChanged>, ApiError> {
    let node = node_id(node)?;
    let Query(given) = given.map_err(|e| bad(e.to_string()))?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let change = ChangeMember::new("remove", given).map_err(bad)?;
    request::within(limit, api.service.change_member(node, change, limit))
        .await
        .map(Json)
}

pub(super) async fn place(
    State(api): State<Api>,
    name: Given<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Placed>, ApiError> {
    let name = request::fsm_name(name)?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let place: PlaceFsm = request::json(&headers, body).await?;
    request::within(limit, api.service.place_fsm(name, place, limit))
        .await
        .map(Json)
}

pub(super) async fn create_token(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TokenCreated>, ApiError> {
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    let token: CreateToken = request::json(&headers, body).await?;
    request::within(limit, api.service.create_token(token, limit))
        .await
        .map(Json)
}

pub(super) async fn tokens(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<Json<TokenList>, ApiError> {
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    request::read_within(limit, api.service.tokens(limit))
        .await
        .map(Json)
}

pub(super) async fn revoke_token(
    State(api): State<Api>,
    id: Given<String>,
    headers: HeaderMap,
) -> Result<Json<TokenRevoked>, ApiError> {
    let Path(text) = id.map_err(|e| bad(e.to_string()))?;
    let id = u64::from_str_radix(&text, 16)
        .map_err(|_| bad(format!("{text:?} is no token: want 16 hex digits")))?;
    let limit = request::time_limit(&headers, &api.limits(), api.limits().timeout)?;
    request::within(limit, api.service.revoke_token(id, limit))
        .await
        .map(Json)
}

fn node_id(path: Given<String>) -> Result<u64, ApiError> {
    let Path(text) = path.map_err(|e| bad(e.to_string()))?;
    parse_node(&text)
}

/// `4` or `n4`.
fn parse_node(text: &str) -> Result<u64, ApiError> {
    let digits = text.strip_prefix('n').unwrap_or(text);
    digits.parse().map_err(|_| {
        bad(format!(
            "{text:?} is no node: want a number, such as 4 or n4"
        ))
    })
}

fn bad(detail: String) -> ApiError {
    ApiError::new(Code::BadRequest, detail)
}
