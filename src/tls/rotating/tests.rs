use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::{fmt, fs};

use kafka_mock::{MockCertificate, MockTls};

use super::*;
use crate::own_threads::OwnThread;
use crate::tls::certificate_provider::{CertificateError, CertificateFuture};

const INTERVAL: Duration = Duration::from_secs(60);

/// A folder of its own, which is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kafka-producer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("client.pem")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(file: &Path, certificate: &MockCertificate) {
    fs::write(file, format!("{}{}", certificate.key_pem(), certificate.chain_pem())).unwrap();
}

fn start(file: &Path) -> RotatingTls {
    let tls = Tls::new().truststore_pem(MockTls::ca_pem()).keystore_file(file);
    RotatingTls::start(&tls.into_settings(), Peer::Broker).unwrap()
}

/// In seconds since 1970, as `date -u -d 2120-01-01 +%s` prints it.
const FIRST_ENDS: Option<i64> = Some(4_733_510_400);
/// The same of 2110-01-01.
const SECOND_ENDS: Option<i64> = Some(4_417_977_600);

async fn until_it_ends(rotating: &RotatingTls, ends: Option<i64>) {
    while rotating.newest.certificate_ends() != ends {
        sleep(Duration::from_secs(1)).await;
    }
}

/// The clock leaps to the next timer whenever all tasks wait for timers, but not while a thread reads a file.
#[tokio::test(start_paused = true)]
async fn files_that_change_are_read_anew() {
    let folder = Folder::new("change");
    write(&folder.file(), &MockCertificate::CLIENT);
    let rotating = start(&folder.file());
    assert_eq!(rotating.newest.certificate_ends(), FIRST_ENDS);
    let begin = clock::now();

    write(&folder.file(), &MockCertificate::CLIENT_SECOND);
    until_it_ends(&rotating, SECOND_ENDS).await;

    let took = clock::now() - begin;
    assert!((Duration::from_secs(65)..Duration::from_secs(70)).contains(&took), "{took:?}");
    write(&folder.file(), &MockCertificate::CLIENT);
    until_it_ends(&rotating, FIRST_ENDS).await;
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_read_leave_things_as_they_are() {
    let folder = Folder::new("broken");
    write(&folder.file(), &MockCertificate::CLIENT);
    let rotating = start(&folder.file());

    let other_key = MockCertificate::from_pem(
        MockCertificate::CLIENT_SECOND.chain_pem(),
        MockCertificate::CLIENT.key_pem(),
    );
    write(&folder.file(), &other_key);
    sleep(INTERVAL * 3).await;
    assert_eq!(rotating.newest.certificate_ends(), FIRST_ENDS);
    fs::remove_file(folder.file()).unwrap();
    sleep(INTERVAL * 3).await;
    assert_eq!(rotating.newest.certificate_ends(), FIRST_ENDS);

    write(&folder.file(), &MockCertificate::CLIENT_SECOND);
    until_it_ends(&rotating, SECOND_ENDS).await;
}

/// As when a container is at its limit of processes for a moment.
#[tokio::test(start_paused = true)]
async fn files_are_looked_at_again_if_the_system_had_no_thread() {
    fn late(thread: OwnThread) -> io::Result<()> {
        // The first two looks fail, and the first attempt at reading what has changed.
        static TRIES: AtomicUsize = AtomicUsize::new(0);
        match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 | 1 | 4 => Err(io::Error::new(io::ErrorKind::WouldBlock, "too many")),
            _ => thread.spawn(),
        }
    }
    static THREADS: OwnThreads = OwnThreads::with("kafka-producer-file", 8, late);
    let folder = Folder::new("threads");
    write(&folder.file(), &MockCertificate::CLIENT);
    let tls = Tls::new().truststore_pem(MockTls::ca_pem()).keystore_file(folder.file());
    let rotating = RotatingTls::start_on(&THREADS, &tls.into_settings(), Peer::Broker).unwrap();

    write(&folder.file(), &MockCertificate::CLIENT_SECOND);

    until_it_ends(&rotating, SECOND_ENDS).await;
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_producer() {
    let folder = Folder::new("end");
    write(&folder.file(), &MockCertificate::CLIENT);
    let rotating = start(&folder.file());
    let task = rotating.task.clone().unwrap();

    drop(rotating);
    tokio::task::yield_now().await;

    assert!(task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn there_is_no_task_where_there_is_nothing_to_watch() {
    let text = Tls::new().truststore_pem(MockTls::ca_pem());
    let never = Tls::new()
        .truststore_file(concat!(env!("CARGO_MANIFEST_DIR"), "/mock/certs/ca.pem"))
        .reload_interval(Duration::ZERO);

    for tls in [text, never] {
        assert!(RotatingTls::start(&tls.into_settings(), Peer::Broker).unwrap().task.is_none());
    }
}

fn identity(certificate: &MockCertificate) -> Tls {
    Tls::new().truststore_pem(MockTls::ca_pem()).keystore_pem(certificate.chain_pem(), certificate.key_pem())
}

#[tokio::test(start_paused = true)]
async fn provider_is_asked_for_the_next_certificates_when_it_has_given_some() {
    let (answers, asked) = tokio::sync::mpsc::unbounded_channel::<Result<Tls, CertificateError>>();
    let asked = Arc::new(tokio::sync::Mutex::new(asked));
    let rotating = RotatingTls::provided_by(Box::new(move || {
        let asked = Arc::clone(&asked);
        async move {
            match asked.lock().await.recv().await {
                Some(answer) => answer,
                None => panic!("the vault is gone"),
            }
        }
    }));
    let waiting = tokio::spawn(rotating.newest().get());
    sleep(INTERVAL).await;
    assert!(!waiting.is_finished());

    answers.send(Ok(identity(&MockCertificate::CLIENT))).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().certificate_ends(), FIRST_ENDS);
    answers.send(Err("not now".into())).unwrap();
    answers.send(Ok(Tls::new().truststore_pem("nothing"))).unwrap();
    sleep(INTERVAL).await;
    assert_eq!(rotating.newest.certificate_ends(), FIRST_ENDS);
    answers.send(Ok(identity(&MockCertificate::CLIENT_SECOND))).unwrap();
    until_it_ends(&rotating, SECOND_ENDS).await;
    drop(answers);
    sleep(INTERVAL).await;
    assert_eq!(rotating.newest.certificate_ends(), SECOND_ENDS);
    assert!(!rotating.task.as_ref().unwrap().is_finished());
}

/// An error that panics when it is printed.
#[derive(Debug)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("printed");
    }
}

impl Error for Unprintable {}

/// An error, or an answer, that panics when it is dropped.
#[derive(Debug)]
struct Fragile(Option<Tls>);

impl fmt::Display for Fragile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fragile")
    }
}

impl Error for Fragile {}

impl Future for Fragile {
    type Output = Result<Tls, CertificateError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.0.take().ok_or_else(|| "given already".into()))
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Has something else wrong with each answer.
struct Wrong(AtomicUsize);

impl CertificateProvider for Wrong {
    fn certificates(&self) -> CertificateFuture<'_> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Box::pin(async { Err(Unprintable.into()) }),
            1 => Box::pin(async { Err(Fragile(None).into()) }),
            2 => Box::pin(Fragile(Some(identity(&MockCertificate::CLIENT)))),
            _ => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn provider_whose_answers_panic_in_any_place_is_asked_again() {
    let rotating = RotatingTls::provided_by(Box::new(Wrong(AtomicUsize::new(0))));

    until_it_ends(&rotating, FIRST_ENDS).await;
}
