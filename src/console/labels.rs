//! What people know webhooks by: their URLs.

use std::collections::HashMap;

use super::caller::{Caller, Refusal};
use super::nouns::{List, Webhook};
use super::show;

/// Characters of a label at most.
const LONGEST: usize = 40;

/// Labels of a tenant's newest webhooks; of the others, and of those that were deleted, their ids serve.
pub(super) struct Labels(HashMap<String, String>);

impl Labels {
    pub(super) async fn read(caller: &Caller) -> Result<Self, Refusal> {
        let webhooks: List<Webhook> = caller.read("/v1/webhooks?page[size]=100").await?;
        Ok(Self(webhooks.data.into_iter().map(|webhook| (webhook.id, label(&webhook.url))).collect()))
    }

    /// The label of one webhook alone.
    pub(super) fn of_one(webhook: &Webhook) -> Self {
        Self(HashMap::from([(webhook.id.clone(), label(&webhook.url))]))
    }

    /// What to call a webhook.
    pub(super) fn of(&self, id: &str) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| show::short(id))
    }
}

/// A URL without what is the same in most of them, and no longer than a table has room for.
fn label(url: &str) -> String {
    let plain = url.trim_start_matches("https://").trim_end_matches('/');
    match plain.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_url_as_far_as_there_is_room() {
        assert_eq!(label("https://hooks.example.com/"), "hooks.example.com");
        assert_eq!(label("http://127.0.0.1:9000/a"), "http://127.0.0.1:9000/a");
        let long = label(&format!("https://hooks.example.com/{}", "é".repeat(40)));
        assert_eq!((long.chars().count(), long.chars().last()), (LONGEST + 1, Some('…')));
    }
}
