//! Buttons: one request to the API each, without a form.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};

use super::segment;
use crate::console::page::{Detour, nowhere};
use crate::console::seat::Seat;

/// Stands for a form that was taken.
pub(super) const CHANGED: &str = "changed";

/// What a button does.
struct Act {
    method: Method,
    /// What follows the noun's id in the API's path.
    path: &'static str,
    /// What is said when it is done.
    done: &'static str,
    /// Whether what it is done to is not there any more afterwards.
    removes: bool,
}

impl Act {
    fn post(path: &'static str, done: &'static str) -> Self {
        Self { method: Method::POST, path, done, removes: false }
    }

    fn delete(done: &'static str) -> Self {
        Self { method: Method::DELETE, path: "", done, removes: true }
    }

    /// Every button, by the path that its form is sent to.
    fn of(noun: &str, verb: &str) -> Option<Self> {
        Some(match (noun, verb) {
            ("webhooks", "activate") => Self::post("/activate", "Activated: what was held is delivered, too."),
            ("webhooks", "skip") => {
                Self::post("/activate?skip_backlog=true", "Activated: what was held for it is cancelled.")
            }
            ("webhooks", "deactivate") => Self::post("/deactivate", "Inactive: its events are accepted and held."),
            ("webhooks", "verify") => Self::post("/verify", "Verified."),
            ("webhooks", "delete") => Self::delete("The webhook is deleted."),
            ("deliveries", "resend") => Self::post("/resend", "It is being delivered again."),
            ("dead-letters", "resend") => {
                Self { removes: true, ..Self::post("/resend", "It is being delivered again.") }
            }
            ("dead-letters", "delete") => Self::delete("Given up for good: the delivery is cancelled."),
            ("replays", "pause") => Self::post("/pause", "Paused."),
            ("replays", "resume") => Self::post("/resume", "It goes on."),
            ("replays", "cancel") => Self::post("/cancel", "Cancelled: what was resent by then is delivered."),
            _ => return None,
        })
    }
}

/// What to say where a page was sent back with this word in its query; nothing for what no button does.
pub(super) fn done(word: &str) -> Option<&'static str> {
    if word == CHANGED {
        return Some("Changed.");
    }
    let (noun, verb) = word.split_once('.')?;
    Act::of(noun, verb).map(|act| act.done)
}

pub(in crate::console) async fn act(
    seat: Seat,
    Path((_, noun, id, verb)): Path<(String, String, String, String)>,
) -> Result<Response, Detour> {
    let Some(act) = Act::of(&noun, &verb) else { return Err(nowhere().into()) };
    let shown = seat.caller.have(act.method, &format!("/v1/{noun}/{}{}", segment(&id), act.path)).await?;
    // What was delivered is resent as another delivery.
    let place = if act.removes { String::new() } else { format!("/{}", segment(&shown.unwrap_or(id))) };
    Ok(Redirect::to(&format!("{}/{noun}{place}?done={noun}.{verb}", seat.path())).into_response())
}
