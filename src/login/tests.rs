//! The task with sources that do as they are told, in tokio's paused time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::*;
use crate::backoff::Backoff;

type Outcome = Result<Fetched<&'static str>, TokenError>;

/// What a source does at one fetch.
enum Act {
    Give(Outcome),
    Hang,
    Panic,
    /// Gives a token, by a future that panics when it is dropped.
    GiveAndBurst(&'static str),
}

/// A future that panics when it is dropped.
struct Fragile(&'static str);

impl Future for Fragile {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        Poll::Ready(Ok(Fetched { value: self.0, lifetime: None }))
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

struct Script {
    acts: Mutex<VecDeque<Act>>,
    fetches: Arc<AtomicUsize>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Source<&'static str> for Script {
    fn name(&self) -> &'static str {
        "access token"
    }

    fn fetch(&self) -> Fetching<'_, &'static str> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let act = self.acts.lock().unwrap().pop_front();
        if let Some(Act::GiveAndBurst(value)) = act {
            return Box::pin(Fragile(value));
        }
        Box::pin(async move {
            match act {
                Some(Act::Give(outcome)) => outcome,
                Some(Act::Panic) => panic!("boom"),
                Some(Act::Hang | Act::GiveAndBurst(_)) | None => pending().await,
            }
        })
    }
}

#[derive(Default)]
struct Notes {
    news: Mutex<Vec<LoginNews>>,
    /// So many times it panics before it takes note.
    panics: AtomicUsize,
}

impl LoginWatcher for Notes {
    fn note(&self, news: LoginNews) {
        let left = self.panics.load(Ordering::Relaxed);
        if left > 0 {
            self.panics.store(left - 1, Ordering::Relaxed);
            panic!("no paper");
        }
        self.news.lock().unwrap().push(news);
    }
}

struct Bench {
    current: Current<&'static str>,
    notes: Arc<Notes>,
    fetches: Arc<AtomicUsize>,
    _task: JoinHandle<()>,
}

impl Bench {
    fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let fetches = Arc::new(AtomicUsize::new(0));
        let script = Script { acts: Mutex::new(acts.into_iter().collect()), fetches: Arc::clone(&fetches) };
        let settings = RefreshSettings {
            window_factor: 0.8,
            window_jitter: 0.0,
            min_period: secs(60),
            buffer: secs(300),
            retry_backoff: Backoff::new(secs(1), secs(1)),
        };
        let (current, notes) = (Current::new(), Arc::<Notes>::default());
        let watcher = Arc::<Notes>::clone(&notes);
        let login = LoginTask::new(Box::new(script), current.clone(), settings, watcher);
        Self { current, notes, fetches, _task: tokio::spawn(login.run()) }
    }

    fn token(&self) -> Option<&'static str> {
        self.current.get().map(|token| *token)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    fn take_notes(&self) -> Vec<LoginNews> {
        std::mem::take(&mut self.notes.news.lock().unwrap())
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn give(token: &'static str, lifetime: Option<u64>) -> Act {
    Act::Give(Ok(Fetched { value: token, lifetime: lifetime.map(secs) }))
}

fn fail(error: TokenError) -> Act {
    Act::Give(Err(error))
}

fn none(cause: &str, is_permanent: bool) -> LoginNews {
    LoginNews::None { cause: format!("no access token: {cause}").into(), is_permanent }
}

/// Lets time pass in small steps, so that each timer fires in its turn.
async fn pass(time: Duration) {
    sleep(time).await;
    // What the timers have woken has its turn.
    advance(Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
}

#[tokio::test(start_paused = true)]
async fn token_is_fetched_at_once_and_again_before_it_ends() {
    let bench = Bench::start([give("a", Some(1000)), give("b", None)]);
    pass(secs(0)).await;
    assert_eq!((bench.token(), bench.fetches()), (Some("a"), 1));

    pass(secs(699)).await;
    assert_eq!((bench.token(), bench.fetches()), (Some("a"), 1));
    pass(secs(1)).await;

    assert_eq!((bench.token(), bench.fetches()), (Some("b"), 2));
    assert_eq!(bench.take_notes(), [LoginNews::Came, LoginNews::Came]);
    pass(secs(1_000_000)).await;
    assert_eq!(bench.fetches(), 2, "it has no end");
}

#[tokio::test(start_paused = true)]
async fn cause_is_told_while_there_is_no_token_and_it_is_fetched_again() {
    let bench = Bench::start([
        fail(TokenError::temporary("away")),
        fail(TokenError::permanent("wrong secret")),
        Act::Panic,
        Act::Hang,
        give("a", None),
    ]);

    pass(secs(3)).await;
    let told = bench.take_notes();
    assert_eq!(
        told,
        [none("away", false), none("wrong secret", true), none("the provider panicked: boom", false)]
    );
    pass(secs(60)).await;
    assert_eq!(bench.take_notes(), [none("none came within 60 s, the most that an attempt takes", false)]);
    pass(secs(2)).await;

    assert_eq!((bench.token(), bench.take_notes()), (Some("a"), vec![LoginNews::Came]));
}

#[tokio::test(start_paused = true)]
async fn token_in_force_serves_until_its_end_while_fetching_fails() {
    let away = || fail(TokenError::temporary("away"));
    let bench = Bench::start([give("a", Some(10)), away(), away(), away(), give("b", None)]);

    pass(secs(9)).await;
    assert_eq!((bench.token(), bench.take_notes()), (Some("a"), vec![LoginNews::Came]));
    pass(Duration::from_millis(1100)).await;
    assert_eq!(bench.token(), None, "it has ended");
    assert!(bench.take_notes().contains(&none("away", false)));
    pass(secs(2)).await;

    assert_eq!(bench.token(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn token_ends_while_the_next_one_is_under_way() {
    let bench = Bench::start([give("a", Some(10)), Act::Hang, give("b", None)]);

    pass(secs(9)).await;
    assert_eq!((bench.token(), bench.fetches()), (Some("a"), 2));
    pass(secs(2)).await;
    assert_eq!(bench.token(), None);
    pass(secs(60)).await;

    assert_eq!(bench.token(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn token_that_a_broker_refuses_is_fetched_anew_but_not_too_often() {
    let bench = Bench::start([give("a", Some(3600)), give("b", Some(3600)), give("c", Some(3600))]);
    pass(secs(100)).await;
    let a = bench.current.get().unwrap();

    assert!(!bench.current.doubt(&a));
    pass(secs(0)).await;
    assert_eq!(bench.token(), Some("b"));
    bench.current.doubt(&a);
    pass(secs(61)).await;
    assert_eq!(bench.token(), Some("b"), "it was the old one that was refused");
    let b = bench.current.get().unwrap();
    bench.current.doubt(&b);
    pass(secs(0)).await;
    let c = bench.current.get().unwrap();
    assert_eq!(*c, "c");
    bench.current.doubt(&c);
    pass(secs(50)).await;

    assert_eq!(bench.fetches(), 3, "a minute is not over");
}

#[tokio::test(start_paused = true)]
async fn token_that_has_ended_when_it_comes_is_shown_to_brokers_all_the_same() {
    let bench = Bench::start([give("a", Some(0)), Act::Hang]);
    pass(secs(0)).await;

    assert_eq!((bench.token(), bench.take_notes()), (Some("a"), vec![LoginNews::Came]));
    assert!(bench.current.doubt(&bench.current.get().unwrap()), "an error says so");
}

#[tokio::test(start_paused = true)]
async fn provider_that_panics_when_it_is_let_go_of_is_asked_again() {
    let bench = Bench::start([Act::GiveAndBurst("a"), give("b", None)]);
    pass(secs(0)).await;
    assert_eq!(bench.take_notes(), [none("the provider panicked: dropped", false)]);
    pass(secs(2)).await;

    assert_eq!((bench.token(), bench.take_notes()), (Some("b"), vec![LoginNews::Came]));
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_login_itself_is_told_and_the_login_goes_on() {
    let bench = Bench::start([fail(TokenError::temporary("away")), give("a", None)]);
    bench.notes.panics.store(1, Ordering::Relaxed);
    pass(secs(0)).await;
    assert_eq!(bench.take_notes(), [none("the login panicked: no paper", true)]);
    pass(secs(2)).await;

    assert_eq!((bench.token(), bench.take_notes()), (Some("a"), vec![LoginNews::Came]));
}

#[tokio::test(start_paused = true)]
async fn end_of_a_token_is_told_while_the_next_one_is_under_way() {
    let away = || fail(TokenError::temporary("away"));
    let bench = Bench::start([give("a", Some(10)), away(), Act::Hang]);

    pass(secs(9)).await;
    assert_eq!(bench.take_notes(), [LoginNews::Came]);
    pass(secs(2)).await;

    assert_eq!((bench.token(), bench.take_notes()), (None, vec![none("away", false)]));
}

#[test]
fn tokens_that_have_ended_when_they_come_are_logged_once() {
    let (counting, now) = (Warnings::default(), clock::now());
    let settings = RefreshSettings {
        window_factor: 0.8,
        window_jitter: 0.0,
        min_period: secs(60),
        buffer: secs(300),
        retry_backoff: Backoff::new(secs(1), secs(1)),
    };
    let mut state = LoginState::new("access token", Current::new(), settings, now);
    let mut come = |lifetime| {
        tracing::subscriber::with_default(counting.clone(), || {
            state.handle_fetched(Fetched { value: "a", lifetime: Some(secs(lifetime)) }, now, 0.5);
        });
        counting.0.load(Ordering::Relaxed)
    };

    assert_eq!([come(0), come(0), come(0)], [1, 1, 1]);
    assert_eq!([come(60), come(0), come(0)], [1, 2, 2]);
}

/// A log that counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
