//! Watching over a statement that is under way.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{io, mem};

use futures_util::stream::{BoxStream, Stream};
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgQueryResult, PgRow, PgSeverity};
use sqlx::{ConnectOptions, Connection, Either};
use tokio::time::{Sleep, sleep, timeout};

use super::session::Condition;
use super::{ANSWER, SILENCE};

/// What a statement yields, step by step.
pub(super) type Step = Result<Either<PgQueryResult, PgRow>, sqlx::Error>;

/// The server is starting up or shutting down: no connection from before is good for anything.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A statement's answer, and what is done about it while there is none.
pub(super) struct Watched<'a> {
    pub(super) steps: BoxStream<'a, Step>,
    pub(super) condition: &'a mut Condition,
    pub(super) doubt: Doubt,
}

/// Who is waited for, and since when.
pub(super) struct Doubt {
    server: Arc<PgConnectOptions>,
    backend: i32,
    stage: Stage,
}

enum Stage {
    /// Nothing was waited for yet: most statements are answered at once or nearly so.
    Calm,
    Waiting(Pin<Box<Sleep>>),
    Asking(Pin<Box<dyn Future<Output = bool> + Send>>),
}

impl Doubt {
    pub(super) fn about(server: &Arc<PgConnectOptions>, backend: i32) -> Self {
        Self { server: Arc::clone(server), backend, stage: Stage::Calm }
    }

    /// Ready once it is plain that no answer will come.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Calm => self.stage = Stage::Waiting(Box::pin(sleep(SILENCE))),
                Stage::Waiting(pause) => match pause.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        self.stage = Stage::Asking(Box::pin(is_at_work(Arc::clone(&self.server), self.backend)));
                    }
                },
                Stage::Asking(answer) => match answer.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(true) => self.stage = Stage::Calm,
                    Poll::Ready(false) => {
                        self.stage = Stage::Calm;
                        return Poll::Ready(());
                    }
                },
            }
        }
    }
}

impl Stream for Watched<'_> {
    type Item = Step;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Step>> {
        let watched = self.get_mut();
        match watched.steps.as_mut().poll_next(context) {
            Poll::Ready(step) => {
                // Whatever comes next is waited for anew.
                drop(mem::replace(&mut watched.doubt.stage, Stage::Calm));
                match &step {
                    None => watched.condition.busy = false,
                    Some(Err(error)) => watched.condition.failed(error),
                    Some(Ok(_)) => {}
                }
                Poll::Ready(step)
            }
            Poll::Pending => watched.doubt.poll(context).map(|()| {
                let error = sqlx::Error::Io(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the connection to the database fell silent",
                ));
                watched.condition.failed(&error);
                Some(Err(error))
            }),
        }
    }
}

/// Whether the server works on what this backend was asked, as it says itself. One that cannot be reached within [`ANSWER`] does
/// not; one that is reached and cannot say may.
async fn is_at_work(server: Arc<PgConnectOptions>, backend: i32) -> bool {
    let ask = async {
        let mut connection = server.connect().await?;
        // An answer that was given just now may be on its way.
        let at_work = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1
                   AND (state IN ('active', 'fastpath function call', 'disabled') OR state_change > clock_timestamp() - interval '1 second'))
                   AS "at_work!""#,
            backend,
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(at_work)
    };
    match timeout(ANSWER, ask).await {
        Ok(Ok(at_work)) => at_work,
        Ok(Err(sqlx::Error::Database(error))) => error.code().as_deref() != Some(CANNOT_CONNECT_NOW),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// The server takes no writes (any more): it became a standby, or is about to.
const READ_ONLY: &str = "25006";

/// Whether a connection is of no use after an error.
pub(super) fn is_fatal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(READ_ONLY) => true,
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_none_or(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
