//! The log: tracing's macros within a fence. A subscriber is code of the application. If it panics, that must not end the sender,
//! nor stop a function halfway.

macro_rules! fenced_debug {
    ($($fields:tt)*) => { $crate::log::quietly(|| tracing::debug!($($fields)*)) };
}

macro_rules! fenced_info {
    ($($fields:tt)*) => { $crate::log::quietly(|| tracing::info!($($fields)*)) };
}

macro_rules! fenced_trace {
    ($($fields:tt)*) => {
        // It costs next to nothing as long as no subscriber wants traces.
        if tracing::level_filters::LevelFilter::current() >= tracing::level_filters::LevelFilter::TRACE {
            $crate::log::quietly(|| tracing::trace!($($fields)*));
        }
    };
}

macro_rules! fenced_warn {
    ($($fields:tt)*) => { $crate::log::quietly(|| tracing::warn!($($fields)*)) };
}

macro_rules! fenced_error {
    ($($fields:tt)*) => { $crate::log::quietly(|| tracing::error!($($fields)*)) };
}

pub(crate) use fenced_debug as debug;
pub(crate) use fenced_error as error;
pub(crate) use fenced_info as info;
pub(crate) use fenced_trace as trace;
pub(crate) use fenced_warn as warn;

use crate::fence::fenced;
use crate::planted::planted;

/// Logs. If the subscriber panics, the process's panic hook has reported the message already, so this drops it.
pub(crate) fn quietly(log: impl FnOnce()) {
    if let Err(thrown) = fenced(log)
        && planted!(LogNotFenced)
    {
        thrown.rethrow();
    }
}
