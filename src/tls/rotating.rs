//! Certificates that change while the producer runs. New connections use the newest; those that are open stay as they are.
//!
//! Files are read by a thread of the crate's own, on behalf of a task of their own: the sender waits for neither.

use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, sleep_until};

use super::certificate_provider::CertificateProvider;
use super::rotation::{Fingerprint, Found, Rotation};
use super::store::LARGEST;
use super::{Peer, TlsClient};
use crate::clock;
use crate::config::{ConfigProblem, Tls, TlsSettings};
use crate::fence::{Fenced, Thrown, fenced};
use crate::log;
use crate::own_threads::{NotDone, OneAtATime, OwnThreads};
use crate::secret_file::{self, FILE_THREADS};

/// The newest certificates, and the task that looks for newer ones.
#[derive(Debug)]
pub(crate) struct RotatingTls {
    newest: NewestTls,
    task: Option<AbortHandle>,
}

/// What connections are made by. Nothing until a provider of certificates has answered.
#[derive(Debug, Clone)]
pub(crate) struct NewestTls(watch::Receiver<Option<TlsClient>>);

/// The files whose changes count.
#[derive(Debug, Clone)]
struct Files(Vec<PathBuf>);

impl RotatingTls {
    /// Reads files and certificates as `settings` say, and from then on whenever the files have changed.
    ///
    /// # Errors
    ///
    /// What is wrong with which key.
    pub(crate) fn start(settings: &TlsSettings, peer: Peer) -> Result<Self, ConfigProblem> {
        Self::start_on(&FILE_THREADS, settings, peer)
    }

    fn start_on(
        threads: &'static OwnThreads,
        settings: &TlsSettings,
        peer: Peer,
    ) -> Result<Self, ConfigProblem> {
        let files = Files::of(settings);
        // Before they are loaded: what changes in between is seen at the first look.
        let fingerprint = files.fingerprint();
        let (newest, receiver) = watch::channel(Some(TlsClient::new(settings, peer)?));
        let interval = settings.reload_interval.0;
        let is_wanted = !files.0.is_empty() && !interval.is_zero() && settings.client_config.get().is_none();
        let task = Handle::try_current().ok().filter(|_| is_wanted).map(|runtime| {
            let rotation = Rotation::new(interval, fingerprint, clock::now());
            let loader = Loader { threads, peer, newest };
            runtime.spawn(watch_files(rotation, files, settings.clone(), loader)).abort_handle()
        });
        Ok(Self { newest: NewestTls(receiver), task })
    }

    /// Has a provider give certificates, now and whenever there are new ones.
    pub(crate) fn provided_by(provider: Box<dyn CertificateProvider>) -> Self {
        let (newest, receiver) = watch::channel(None);
        let task = Handle::try_current().ok().map(|runtime| {
            let loader = Loader { threads: &FILE_THREADS, peer: Peer::Broker, newest };
            runtime.spawn(ask(provider, loader)).abort_handle()
        });
        Self { newest: NewestTls(receiver), task }
    }

    pub(crate) fn newest(&self) -> NewestTls {
        self.newest.clone()
    }
}

impl Drop for RotatingTls {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl NewestTls {
    /// Returns what the next connection is to be made by, when there is anything.
    pub(crate) async fn get(mut self) -> io::Result<TlsClient> {
        let newest = self.0.wait_for(Option::is_some).await.ok().and_then(|newest| newest.clone());
        newest.ok_or_else(|| io::Error::other("there is no task any more that gets certificates"))
    }

    /// Returns when the certificate ends that the next connection shows, in seconds since 1970.
    pub(crate) fn certificate_ends(&self) -> Option<i64> {
        self.0.borrow().as_ref()?.certificate_ends()
    }
}

/// Looks at files as often as the rotation says.
async fn watch_files(mut rotation: Rotation, files: Files, settings: TlsSettings, loader: Loader) {
    loop {
        sleep_until(rotation.next_look().into()).await;
        let looked_at = files.clone();
        let looking = OneAtATime::new(loader.threads);
        let fingerprint = match looking.run(move || looked_at.fingerprint()).await {
            Ok(fingerprint) => fingerprint,
            Err(cause) => {
                log::warn!(%cause, "cannot look whether certificates have changed; trying again");
                sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        if rotation.handle_look(fingerprint, clock::now()) == Found::New {
            // What is new counts as known from here on, so nothing else would have it loaded.
            while loader.load(settings.clone()).await.is_err() {
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Asks a provider for certificates, and for the next ones whenever it has given some.
async fn ask(provider: Box<dyn CertificateProvider>, loader: Loader) {
    loop {
        let is_loaded = match answer(&*provider).await {
            Ok(tls) => loader.load(tls.into_settings()).await.unwrap_or(false),
            Err(error) => {
                log::warn!(%error, "the provider has given no certificates");
                false
            }
        };
        sleep(if is_loaded { PAUSE } else { PAUSE_AFTER_ERROR }).await;
    }
}

/// Asks once. Nothing that the application gives back may end the task when it is used or dropped.
async fn answer(provider: &dyn CertificateProvider) -> Result<Tls, String> {
    let answer = fenced(|| provider.certificates()).map_err(|thrown| thrown.message())?;
    let mut answer = Fenced::new(AssertUnwindSafe(answer).catch_unwind());
    match poll_fn(|cx| answer.get_mut().poll_unpin(cx)).await {
        Ok(Ok(tls)) => Ok(tls),
        Ok(Err(error)) => {
            let text = Fenced::new(error).call(|error| error.to_string());
            Err(text.unwrap_or_else(|thrown| {
                format!("its error panics when it is printed: {}", thrown.message())
            }))
        }
        Err(payload) => Err(Thrown::from(payload).message()),
    }
}

/// Where certificates are read, and who gets them.
struct Loader {
    threads: &'static OwnThreads,
    peer: Peer,
    newest: watch::Sender<Option<TlsClient>>,
}

impl Loader {
    /// Has new connections made by what `settings` say. Returns whether that is of use.
    ///
    /// # Errors
    ///
    /// No thread has looked. That may pass.
    async fn load(&self, settings: TlsSettings) -> Result<bool, NotDone> {
        let peer = self.peer;
        match OneAtATime::new(self.threads).run(move || TlsClient::new(&settings, peer)).await {
            Ok(Ok(client)) => {
                log::info!(
                    certificate = client.subject().unwrap_or("none"),
                    "new connections use new certificates"
                );
                self.newest.send_replace(Some(client));
                Ok(true)
            }
            Ok(Err(problem)) => {
                log::warn!(%problem, "new certificates cannot be used, so connections go on with those of before");
                Ok(false)
            }
            Err(cause) => {
                log::warn!(%cause, "new certificates cannot be read yet, so connections go on with those of before");
                Err(cause)
            }
        }
    }
}

impl Files {
    fn of(settings: &TlsSettings) -> Self {
        let locations = [&settings.keystore_location, &settings.truststore_location];
        Self(locations.into_iter().filter_map(|location| location.path().map(Path::to_path_buf)).collect())
    }

    /// Reads all of them, so that a change counts that leaves a file's time and length as they were.
    fn fingerprint(&self) -> Fingerprint {
        let mut hasher = DefaultHasher::new();
        for path in &self.0 {
            // A file that cannot be read is a change, too, which is told to the user once.
            let read = secret_file::read(path, LARGEST);
            read.as_deref().map(Vec::as_slice).map_err(io::Error::kind).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Between two questions to a provider, which may answer at once though it has nothing new.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
