//! Lists: page by page, until enough is shown.

use clap::Args;

use super::Desk;
use crate::cli::Failure;
use crate::cli::show::progress::Progress;
use crate::cli::show::table::Table;
use crate::client::Call;

/// Rows of a page at most.
const PAGE: usize = 100;

/// How much of a list is wanted.
#[derive(Debug, Args)]
pub(in crate::cli) struct Amount {
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    limit: usize,
    /// All rows, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Desk {
    /// Shows a list; `empty` says what to do where there is nothing in it.
    pub(super) async fn list(&self, call: Call, amount: &Amount, columns: Table, empty: &str) -> Result<(), Failure> {
        let mut left = if amount.all { usize::MAX } else { amount.limit };
        let (mut table, mut after, mut shown) = (columns, None::<String>, 0);
        loop {
            let waiting = Progress::endless();
            waiting.tells("reading …");
            let mut page = self.client.page(&call, left.min(PAGE), after.as_deref()).await?;
            drop(waiting);
            page.items.truncate(left);
            if !page.items.is_empty() {
                self.screen.items(&page.items, &mut table)?;
            }
            shown += page.items.len();
            left -= page.items.len();
            after = page.next;
            if after.is_none() || left == 0 || page.items.is_empty() {
                break;
            }
        }
        if shown == 0 {
            self.screen.note(if call.is_filtered() {
                "None match. There may be some without the options that narrow the list."
            } else {
                empty
            });
        } else if after.is_some() {
            self.screen.note("There are more: --limit N shows N of them, --all shows all.");
        }
        Ok(())
    }
}
