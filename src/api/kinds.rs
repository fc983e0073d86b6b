//! The kinds of problem: a catalogue of every `code` that an error can have at its top.

use axum::http::StatusCode;

/// A kind of problem: what stays the same each time it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable word.
    pub code: &'static str,
    /// The same for people.
    pub title: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal $title:literal;)+) => {
        $($(#[$doc])* pub const $name: Kind = Kind { status: StatusCode::$status, code: $code, title: $title };)+

        /// Every kind.
        pub const ALL: &[Kind] = &[$($name),+];
    };
}

kinds! {
    /// The header that names a tenant is missing or no id.
    INVALID_TENANT_HEADER = BAD_REQUEST "invalid_tenant_header" "The header Tidings-Tenant does not name a tenant";
    /// A path has something that is no id in an id's place.
    INVALID_ID = BAD_REQUEST "invalid_id" "The path holds a malformed id";
    /// A parameter after the `?` is unknown or has a wrong value.
    INVALID_QUERY = BAD_REQUEST "invalid_query" "A query parameter is not valid";
    /// A header has a wrong value.
    INVALID_HEADER = BAD_REQUEST "invalid_header" "A header is not valid";
    /// The body is not JSON, or nests too deep.
    INVALID_JSON = BAD_REQUEST "invalid_json" "The body is not JSON";
    /// The body could not be read to its end.
    INVALID_BODY = BAD_REQUEST "unreadable_body" "The body could not be read";
    /// A body for an action that takes none: what was meant by it would not be done.
    UNWANTED_BODY = BAD_REQUEST "unwanted_body" "This path takes no body";
    /// No key, or one that is not known.
    UNAUTHENTICATED = UNAUTHORIZED "unauthenticated" "A valid API key is needed";
    /// The key lacks the role.
    MISSING_ROLE = FORBIDDEN "missing_role" "The key lacks a role";
    /// The key belongs to another tenant than the header names.
    OTHER_TENANT = FORBIDDEN "other_tenant" "The key belongs to another tenant";
    /// No route has this path.
    UNKNOWN_PATH = NOT_FOUND "unknown_path" "There is no such path";
    /// The path is right and what it names is not there.
    NOT_THERE = NOT_FOUND "not_found" "There is no such thing";
    /// The path has no such method.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method_not_allowed" "The path has no such method";
    /// The body did not arrive in time.
    SLOW_BODY = REQUEST_TIMEOUT "request_timeout" "The body did not arrive in time";
    /// It cannot be done as things stand.
    CONFLICT = CONFLICT "conflict" "It cannot be done as things stand";
    /// `If-Match` names another version.
    STALE = PRECONDITION_FAILED "precondition_failed" "It was changed meanwhile";
    /// The body is over the limit.
    TOO_LARGE = PAYLOAD_TOO_LARGE "body_too_large" "The body is too large";
    /// The body is of a type that is not read.
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "The body is not of a supported type";
    /// The body is JSON and does not fit.
    INVALID = UNPROCESSABLE_ENTITY "validation_failed" "The input is not valid";
    /// The receiver did not return the challenge's value.
    CHALLENGE_FAILED = UNPROCESSABLE_ENTITY "challenge_failed" "The receiver did not pass the challenge";
    /// The key asks more often than it may.
    RATE_LIMITED = TOO_MANY_REQUESTS "rate_limited" "The key has asked too often";
    /// Tests and verifications of the webhook are under way, as many as may be at once.
    TOO_MANY_TRIALS = TOO_MANY_REQUESTS "too_many_tests" "Tests of the webhook are under way";
    /// Tidings' fault.
    INTERNAL = INTERNAL_SERVER_ERROR "internal" "Something went wrong in Tidings";
    /// The database is away.
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable" "The database is not available";
    /// There is no room for it: others' bodies or events have taken it, or the tenant's own.
    BUSY = SERVICE_UNAVAILABLE "busy" "There is too much to do at the moment";
    /// Another transaction holds what it needs, such as an idempotency key, for longer than is waited.
    CONTENDED = SERVICE_UNAVAILABLE "contended" "Another transaction is in the way";
}

/// What can stand in the way: the codes that a 409 can have, and what each means.
pub const CONFLICTS: &[(&str, &str)] = &[
    ("catalogue_full", "The tenant's catalogue has as many event types as it may have"),
    ("changed_meanwhile", "The webhook was changed while its challenge was under way"),
    ("changing", "It is being changed by others at this moment"),
    ("event_gone", "The event was purged at the end of its retention"),
    ("event_data_deleted", "The data of the event was deleted"),
    ("idempotency_key_reused", "The idempotency key was used within 24 hours for other content"),
    ("no_challenge", "The webhook's dialect has no challenge"),
    ("not_dead", "The delivery is no dead letter any more"),
    ("replay_finished", "The replay is completed or cancelled and does nothing any more"),
    ("too_many_replays", "Too many replays are running or paused to start another"),
    ("too_many_resends", "The event was resent too often"),
    ("too_many_secrets", "Too many secrets of the webhook are in use"),
    ("unfit_secret", "The webhook's secret or token does not fit its dialect as the file is now"),
    ("unknown_dialect", "The webhook's dialect is not on offer any more"),
    ("unrenderable", "The dialect has no place for the sample"),
    ("unreadable_headers", "The webhook's own headers do not open any more"),
    ("unreadable_secret", "The webhook's secret or token does not open any more"),
    ("webhook_deleted", "The webhook was deleted"),
    ("webhook_disabled", "The webhook was disabled"),
    ("webhook_inactive", "The webhook is inactive"),
    ("webhook_not_verified", "The webhook's receiver has not passed the challenge"),
];
