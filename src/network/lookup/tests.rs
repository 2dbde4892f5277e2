//! Lookups on the blocking pool, and on the threads of the crate when the pool does not begin them.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::own_threads::OwnThread;

/// A runtime with one blocking thread.
fn runtime() -> Runtime {
    Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap()
}

fn own_threads(most: usize, spawn: fn(OwnThread) -> io::Result<()>) -> &'static OwnThreads {
    Box::leak(Box::new(OwnThreads::with("kafka-producer-lookup", most, spawn)))
}

/// Keeps the only blocking thread until the sender is dropped.
fn hold_pool() -> mpsc::Sender<()> {
    let (let_go, is_let_go) = mpsc::channel();
    drop(spawn_blocking(move || is_let_go.recv()));
    let_go
}

fn no_thread(_: OwnThread) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::WouldBlock, "too many"))
}

fn thread_name() -> io::Result<Option<String>> {
    Ok(thread::current().name().map(str::to_owned))
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn address_needs_no_lookup() {
    let lookups = Lookups::with(own_threads(1, no_thread));
    for (host, expected) in [("127.0.0.1", "127.0.0.1:9092"), ("::1", "[::1]:9092")] {
        // Outside of any runtime, so that there is no thread to look anything up.
        let found = poll_once(pin!(lookups.look_up(host, 9092)));

        let Poll::Ready(Ok(found)) = found else { panic!("{host} was looked up") };
        assert_eq!(found, [expected.parse().unwrap()]);
    }
}

// The clock stands still while a thread of the pool is at work.
#[tokio::test(start_paused = true)]
async fn pool_is_asked_first() {
    let lookups = Lookups::with(own_threads(1, no_thread));

    let found = lookups.look_up("localhost", 9092).await.unwrap();
    assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");

    assert_eq!(
        lookups.run(|| Err::<(), _>(io::Error::other("as told"))).await.unwrap_err().to_string(),
        "as told"
    );
    assert_eq!(lookups.in_pool.load(Ordering::Relaxed), 0);
}

#[test]
fn own_thread_does_once_what_the_pool_does_not_begin() {
    runtime().block_on(async {
        let own = own_threads(1, OwnThread::spawn);
        let lookups = Lookups::with(own);
        let let_go = hold_pool();
        let begun = Arc::new(AtomicUsize::new(0));

        let count = Arc::clone(&begun);
        let name = lookups.run(move || {
            count.fetch_add(1, Ordering::Relaxed);
            thread_name()
        });
        assert_eq!(name.await.unwrap().as_deref(), Some("kafka-producer-lookup"));

        assert_eq!(lookups.in_pool.load(Ordering::Relaxed), 1);
        drop(let_go);
        spawn_blocking(|| ()).await.unwrap();
        assert_eq!(lookups.in_pool.load(Ordering::Relaxed), 0);
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        until(|| own.running_and_waiting().0 == 0).await;
    });
}

#[test]
fn pool_does_what_no_own_thread_is_free_for() {
    runtime().block_on(async {
        let own = own_threads(0, no_thread);
        let lookups = Lookups::with(own);
        let let_go = hold_pool();
        let lookup = tokio::spawn({
            let lookups = lookups.clone();
            async move { lookups.run(thread_name).await }
        });
        until(|| own.running_and_waiting().1 == 1).await;

        drop(let_go);

        assert_ne!(lookup.await.unwrap().unwrap().as_deref(), Some("kafka-producer-lookup"));
    });
}

#[test]
fn own_threads_are_few_and_take_the_next_when_they_are_done() {
    runtime().block_on(async {
        let own = own_threads(1, OwnThread::spawn);
        let lookups = Lookups::with(own);
        let _pool = hold_pool();
        let (let_go, is_let_go) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let lookups = lookups.clone();
            async move { lookups.run(move || Ok(is_let_go.recv())).await }
        });
        until(|| own.running_and_waiting() == (1, 0)).await;

        // As attempts do whose time is over.
        for _ in 0..20 {
            let given_up = lookups.run(|| -> io::Result<()> { panic!("it was given up") });
            tokio::select! {
                _ = given_up => panic!("no thread was free"),
                () = until(|| own.has_waiting()) => {}
            }
        }
        assert_eq!(own.running_and_waiting(), (1, 1));
        assert_eq!(lookups.in_pool.load(Ordering::Relaxed), MOST_IN_POOL);

        let second = tokio::spawn(async move { lookups.run(thread_name).await });
        until(|| own.has_waiting()).await;
        drop(let_go);
        assert!(first.await.unwrap().unwrap().is_err());
        assert_eq!(second.await.unwrap().unwrap().as_deref(), Some("kafka-producer-lookup"));
        until(|| own.running_and_waiting().0 == 0).await;
    });
}

#[test]
fn missing_thread_is_an_error() {
    runtime().block_on(async {
        let own = own_threads(1, no_thread);
        let _pool = hold_pool();

        let error = Lookups::with(own).look_up("localhost", 9092).await.unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(error.to_string(), "no thread to look the name up: too many");
        assert_eq!(own.running_and_waiting(), (0, 0));
    });
}

#[test]
fn panic_is_an_error_and_takes_no_thread_away() {
    runtime().block_on(async {
        let own = own_threads(1, OwnThread::spawn);
        let lookups = Lookups::with(own);
        let _pool = hold_pool();

        for _ in 0..3 {
            let error = lookups.run(|| -> io::Result<()> { panic!("on purpose") }).await.unwrap_err();
            assert_eq!(error.to_string(), not_done().to_string());
            until(|| own.running_and_waiting().0 == 0).await;
        }
    });
}

#[test]
fn runtime_may_end_while_a_lookup_hangs() {
    let own = own_threads(1, OwnThread::spawn);
    let lookups = Lookups::with(own);
    let (let_go, is_let_go) = mpsc::channel::<()>();
    let runtime = runtime();
    let pool = runtime.block_on(async {
        let pool = hold_pool();
        tokio::spawn({
            let lookups = lookups.clone();
            async move { lookups.run(move || Ok(is_let_go.recv())).await }
        });
        until(|| own.running_and_waiting() == (1, 0)).await;
        pool
    });

    runtime.shutdown_background();

    drop((pool, let_go));
    while own.running_and_waiting().0 > 0 || lookups.in_pool.load(Ordering::Relaxed) > 0 {
        thread::yield_now();
    }
}

/// The system reads the zone, which an address of the standard library has no place for in its text.
#[cfg(target_os = "linux")]
#[test]
fn zone_of_an_ipv6_address_is_kept() {
    runtime().block_on(async {
        let lookups = Lookups::new();

        for host in ["fe80::1%1", "fe80::1%lo"] {
            let addresses = lookups.look_up(host, 9092).await.unwrap();

            let [SocketAddr::V6(address)] = addresses[..] else { panic!("{addresses:?}") };
            assert_eq!((address.ip().to_string(), address.scope_id()), ("fe80::1".to_owned(), 1));
        }
    });
}
