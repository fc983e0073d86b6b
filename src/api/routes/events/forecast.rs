//! A dry run as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::actions::FIT_SECRET;
use crate::actions::dry_run::{DryRun, Fate};
use crate::actions::exhibit::NoExhibit;
use crate::api::routes::deliveries::view::RequestView;
use crate::dialect::Unrenderable;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::State;
use crate::store::webhooks::audience::Subscriber;

/// What would come of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forecast)]
pub(in crate::api) struct ForecastView {
    dry_run: bool,
    /// How many deliveries it would owe.
    deliveries: usize,
    /// Webhooks that match, older ones first; at most 100 of them and of the others together, and fewer where the event is large.
    matches: Vec<MatchView>,
    /// Webhooks that do not, each with the reason.
    others: Vec<OtherView>,
    /// There are more webhooks than are shown. Those that match come first.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Match)]
struct MatchView {
    webhook_id: WebhookId,
    url: String,
    dialect: String,
    /// The webhook's state where that keeps the delivery back.
    held: Option<State>,
    /// The exact request; secret values are not shown.
    request: Option<RequestView>,
    /// Why there is no request: the delivery would go to the dead letters, or wait for a secret that opens.
    unrenderable: Option<UnrenderableView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unrenderable)]
struct UnrenderableView {
    detail: String,
    /// The member of `data` that stands in the way, where it is one.
    member: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoMatch)]
struct OtherView {
    webhook_id: WebhookId,
    url: String,
    dialect: String,
    /// `not_subscribed`, `not_in_dialect` or `never_verified`.
    #[schema(example = "not_subscribed")]
    reason: &'static str,
    detail: &'static str,
}

impl From<DryRun> for ForecastView {
    fn from(forecast: DryRun) -> Self {
        let (mut matches, mut others) = (Vec::new(), Vec::new());
        for (subscriber, fate) in forecast.webhooks {
            match fate {
                Fate::Request { request, held } => {
                    matches.push(MatchView { held, request: Some(request.into()), ..MatchView::of(subscriber) });
                }
                Fate::Unrenderable(why) => {
                    matches.push(MatchView { unrenderable: Some(why.into()), ..MatchView::of(subscriber) });
                }
                Fate::Unreadable => {
                    let detail =
                        "its secret or token cannot be opened any more: rotate with `overlap_seconds` 0".to_owned();
                    let why = UnrenderableView { detail, member: None };
                    matches.push(MatchView { unrenderable: Some(why), ..MatchView::of(subscriber) });
                }
                Fate::Nothing(why) => {
                    let Subscriber { id, url, dialect, .. } = subscriber;
                    let (reason, detail) = (why.as_str(), why.detail());
                    others.push(OtherView { webhook_id: id, url, dialect, reason, detail });
                }
            }
        }
        Self { dry_run: true, deliveries: forecast.deliveries, matches, others, more: forecast.more }
    }
}

impl MatchView {
    fn of(subscriber: Subscriber) -> Self {
        let Subscriber { id, url, dialect, .. } = subscriber;
        Self { webhook_id: id, url, dialect, held: None, request: None, unrenderable: None }
    }
}

impl From<NoExhibit> for UnrenderableView {
    fn from(why: NoExhibit) -> Self {
        let member = match &why {
            NoExhibit::Unrenderable(Unrenderable::Collision { member }) => Some(member.clone()),
            NoExhibit::Unrenderable(Unrenderable::NotAnObject { .. }) | NoExhibit::Dialect(_) => None,
        };
        let detail = match &why {
            NoExhibit::Unrenderable(why) => why.to_string(),
            NoExhibit::Dialect(unfit) => format!("{unfit}; {FIT_SECRET}"),
        };
        Self { detail, member }
    }
}
