//! Runs producers for a long time against a mock cluster on which everything comes and goes, and watches the heap.
//!
//! ```text
//! cargo run --release -p kafka-producer-soak -- [seconds, 3600 by default] [folder, target/soak by default] [pace, 1 by default]
//! ```
//!
//! Topics are made, written to, left alone until they have idled out, and deleted; brokers go down or freeze; producers are built,
//! filled, closed without patience and dropped; calls that wait for memory are given up. The brokers keep no records and forget
//! producers soon; all runs on one thread. A pace of 20 has an hour pass in three minutes, with twenty times as many topics.
//! Samples go to `heap.csv` and a chart of them to `heap.svg`. It fails if the heap of the second half lies more than a tenth
//! above that of the first.

mod chart;
mod level;
mod load;
mod pace;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use tokio::time::Instant;

use crate::level::{Sample, Verdict};
use crate::load::{Counts, Load};
use crate::pace::Pace;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const EVERY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(3600), |text| text.parse());
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/soak".to_owned()));
    let pace = arguments.next().map_or(Ok(NonZeroU32::MIN), |text| text.parse());
    let (Ok(seconds), Ok(pace)) = (seconds, pace) else {
        eprintln!("usage: soak [seconds] [folder] [pace]");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = |runtime: tokio::runtime::Runtime| {
        runtime.block_on(watch(Duration::from_secs(seconds), &folder, Pace(pace)))
    };
    match runtime.and_then(run) {
        Ok(verdict) => {
            println!("{verdict}");
            if verdict.is_flat() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the time of a run is real")]
async fn watch(time: Duration, folder: &PathBuf, pace: Pace) -> io::Result<Verdict> {
    fs::create_dir_all(folder)?;
    let mut csv = File::create(folder.join("heap.csv"))?;
    writeln!(csv, "seconds,heap_bytes,resident_bytes,topics,{}", Counts::NAMES)?;
    let load = Load::start(pace).await.map_err(io::Error::other)?;
    let begin = Instant::now();
    // One that grows would be seen in the samples.
    let mut samples = Vec::with_capacity((time.as_secs() / EVERY.as_secs()) as usize);
    while begin.elapsed() < pace.of(time) {
        tokio::time::sleep(pace.of(EVERY)).await;
        let sample = Sample {
            seconds: begin.elapsed().as_secs_f64() * f64::from(pace.0.get()),
            heap: HEAP.current_usage() as f64,
            resident: resident().unwrap_or_default(),
        };
        let (topics, counts) = (load.topics(), load.counts());
        let Sample { seconds, heap, resident } = sample;
        writeln!(csv, "{seconds:.1},{heap},{resident},{topics},{counts}")?;
        samples.push(sample);
        if samples.len() % 30 == 0 {
            println!("{seconds:6.0} s: heap {:8.0} kB, {counts}", heap / 1e3);
            fs::write(folder.join("heap.svg"), chart::draw(&samples))?;
        }
    }
    fs::write(folder.join("heap.svg"), chart::draw(&samples))?;
    Ok(Verdict::of(&samples))
}

/// Returns the bytes of memory that the system has given to this process, where it says.
fn resident() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}
