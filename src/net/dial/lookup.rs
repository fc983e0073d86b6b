//! Asking for a name's addresses, without letting one slow name hold the others up.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::hosts;

/// Questions at once about names of one domain. Whoever owns a domain can make its names hang, however many it invents; the pool
/// has room for 32 times as many.
const PER_DOMAIN: usize = 16;
/// Below a country, domains are registered under one of these: `example.co.uk`.
const SECOND_LEVEL: [&str; 13] = ["ac", "co", "com", "edu", "go", "gob", "gov", "mil", "ne", "net", "nom", "or", "org"];

/// Where answers come from: the system, or a test that lies.
pub(in crate::net) trait Lookup: Send + Sync + 'static {
    fn lookup(&self, name: String) -> Looking;
}

/// An answer on its way.
pub(in crate::net) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The hosts file, then the system's resolver.
///
/// Names are taken as complete, whatever search domains the host has: a tenant who writes `wiki` does not mean the
/// operator's `wiki.corp.example`, whose address may well be a public one. It also spares Kubernetes five questions in vain
/// for each name.
pub(in crate::net) struct System;

impl Lookup for System {
    fn lookup(&self, name: String) -> Looking {
        Box::pin(async move {
            let listed = hosts::addresses(&name).await;
            if !listed.is_empty() {
                return Ok(listed);
            }
            let complete = if name.ends_with('.') { name } else { name + "." };
            let found = tokio::net::lookup_host((complete, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}

/// One question at a time for each name, and a few for each domain; whoever asks meanwhile gets the same answer or waits for its
/// turn, and nothing is kept after it.
///
/// The system's resolver occupies a thread of a bounded pool until it answers, long after the attempt that asked has
/// given up. Without this, the attempts of a few webhooks whose DNS hangs would take all threads.
pub(in crate::net) struct Together<L>(Arc<Asking<L>>);

struct Asking<L> {
    lookup: L,
    questions: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    under_way: HashMap<String, UnderWay>,
    domains: HashMap<String, Arc<Semaphore>>,
}

type UnderWay = Shared<Pin<Box<dyn Future<Output = Answer> + Send>>>;
type Answer = Result<Vec<IpAddr>, Arc<io::Error>>;

impl<L: Lookup> Together<L> {
    pub(in crate::net) fn new(lookup: L) -> Self {
        Self(Arc::new(Asking { lookup, questions: Mutex::default() }))
    }
}

impl<L: Lookup> Lookup for Together<L> {
    fn lookup(&self, name: String) -> Looking {
        let asking = Arc::clone(&self.0);
        Box::pin(async move {
            let under_way = asking.questions().under_way.get(&name).cloned();
            let question = match under_way {
                Some(question) => question,
                // Who gives up meanwhile asks nothing.
                None => asking.turn(&name).await.map(|turn| asking.ask(name, turn)).map_err(io::Error::other)?,
            };
            question.await.map_err(io::Error::other)
        })
    }
}

impl<L: Lookup> Asking<L> {
    /// Waits until there is room for a question about a name.
    async fn turn(&self, name: &str) -> Result<OwnedSemaphorePermit, tokio::sync::AcquireError> {
        let room = || Arc::new(Semaphore::new(PER_DOMAIN));
        let domain = self.questions().domains.entry(domain(name).to_owned()).or_insert_with(room).clone();
        domain.acquire_owned().await
    }

    /// A task of its own, so that the entry goes when the answer comes, whether or not someone still waits for it.
    fn ask(self: Arc<Self>, name: String, turn: OwnedSemaphorePermit) -> UnderWay {
        let asking = Arc::clone(&self);
        let mut questions = self.questions();
        let ask = |name: String| {
            let looking = self.lookup.lookup(name.clone());
            let task = tokio::spawn(async move {
                let answer = looking.await.map_err(Arc::new);
                drop(turn);
                let mut questions = asking.questions();
                questions.under_way.remove(&name);
                questions.domains.retain(|_, domain| Arc::strong_count(domain) > 1);
                answer
            });
            task.map(|ended| ended.unwrap_or_else(|gone| Err(Arc::new(gone.into())))).boxed().shared()
        };
        // Somebody else may have asked while this waited for its turn.
        questions.under_way.entry(name.clone()).or_insert_with(|| ask(name)).clone()
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody has registered of a name: its last two labels, or three of them.
fn domain(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.rsplit('.');
    let is_country = labels.next().is_some_and(|top| top.len() == 2);
    let is_shared = is_country && labels.next().is_some_and(|second| SECOND_LEVEL.contains(&second));
    let before = name.rmatch_indices('.').nth(if is_shared { 2 } else { 1 });
    before.map_or(name, |(dot, _)| &name[dot + 1..])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::sync::Notify;

    use super::*;

    /// Answers after a while with the number of questions so far, or fails for names that begin with `no`.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl Lookup for Slow {
        fn lookup(&self, name: String) -> Looking {
            let asked = u8::try_from(self.0.fetch_add(1, Ordering::Relaxed)).expect("few");
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if name.starts_with("no") { Err(io::Error::other("none")) } else { Ok(vec![[8, 8, 8, asked].into()]) }
            })
        }
    }

    #[tokio::test]
    async fn who_asks_for_the_same_name_meanwhile_shares_the_answer() {
        let slow = Slow::default();
        let together = Together::new(slow.clone());
        let askers: Vec<_> = (0..32).map(|_| together.lookup("a.example".into())).collect();
        let other = together.lookup("b.example".into());
        for answer in futures_util::future::join_all(askers).await {
            assert_eq!(answer.expect("an answer"), [IpAddr::from([8, 8, 8, 0])]);
        }
        assert_eq!(other.await.expect("an answer"), [IpAddr::from([8, 8, 8, 1])]);
        assert_eq!(together.lookup("a.example".into()).await.expect("asked anew"), [IpAddr::from([8, 8, 8, 2])]);
    }

    #[tokio::test]
    async fn an_answer_that_no_one_waits_for_leaves_nothing_behind() {
        let together = Together::new(Slow::default());
        assert!(together.lookup("a.example".into()).now_or_never().is_none());
        assert_eq!(together.lookup("nowhere".into()).await.expect_err("none").to_string(), "none");
        tokio::time::sleep(Duration::from_millis(40)).await;
        let questions = together.0.questions();
        assert!(questions.under_way.is_empty() && questions.domains.is_empty());
    }

    /// Answers for names under `hang.` only when told to, and counts what is asked for.
    #[derive(Clone, Default)]
    struct Hanging {
        asked: Arc<AtomicUsize>,
        end: Arc<Notify>,
    }

    impl Lookup for Hanging {
        fn lookup(&self, name: String) -> Looking {
            let Self { asked, end } = self.clone();
            Box::pin(async move {
                if name.contains(".hang.") {
                    asked.fetch_add(1, Ordering::Relaxed);
                    end.notified().await;
                }
                Ok(vec![[8, 8, 8, 8].into()])
            })
        }
    }

    #[tokio::test]
    async fn however_many_names_of_a_domain_hang_the_others_answer() {
        let hanging = Hanging::default();
        let together = Together::new(hanging.clone());
        for domain in ["hang.test", "hang.co.uk"] {
            let asked = || hanging.asked.load(Ordering::Relaxed);
            let before = asked();
            let mut askers: FuturesUnordered<_> =
                (0..300).map(|number| together.lookup(format!("{number}.{domain}"))).collect();
            assert!(tokio::time::timeout(Duration::from_millis(20), askers.next()).await.is_err());
            assert_eq!(asked() - before, PER_DOMAIN);
            for name in ["ok.test", "ok.co.uk", "a.ok.test"] {
                together.lookup(name.into()).await.expect("an answer");
            }
            // One answer, one more question; and none for those who have given up.
            hanging.end.notify_one();
            askers.next().await.expect("an asker").expect("an answer");
            assert!(tokio::time::timeout(Duration::from_millis(20), askers.next()).await.is_err());
            assert_eq!(asked() - before, PER_DOMAIN + 1);
            drop(askers);
            hanging.end.notify_waiters();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(asked() - before, PER_DOMAIN + 1);
            assert!(together.0.questions().domains.is_empty());
        }
    }

    #[test]
    fn what_is_registered_of_a_name() {
        for (name, registered) in [
            ("a.b.example.com", "example.com"),
            ("example.com.", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("a.co.example", "co.example"),
            ("a.bmw.de", "bmw.de"),
            ("wiki", "wiki"),
            ("co.uk", "co.uk"),
            ("", ""),
        ] {
            assert_eq!(domain(name), registered, "{name}");
        }
    }
}
