//! What the producer logs, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;

/// Shows warnings and errors from now on: they tell why nothing is delivered long before anything times out.
pub(crate) fn show_warnings() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(io::stderr)
        .with_ansi(false)
        .finish();
    // There is no other subscriber in this program.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
