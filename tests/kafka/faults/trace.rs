//! The producers' log, for finding the cause of a failure.

use std::fs::File;
use std::sync::Arc;
use std::sync::Once;

/// Writes what the producers log to the file that `KAFKA_TRACE` names, if it is set.
pub(super) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(path) = std::env::var_os("KAFKA_TRACE") else { return };
        let file = File::create(path).expect("a file for the log");
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(file));
        subscriber.with_max_level(tracing::Level::DEBUG).init();
    });
}
