//! A live view of a producer: what it does, what it waits for, and why.
//!
//! ```text
//! cargo run --release -p kafka-producer-top
//! cargo run --release -p kafka-producer-top -- --bootstrap-server localhost:9092 --topic orders
//! ```
//!
//! Without servers it starts mock brokers in its own process and lets things go wrong by a script: a leader dies, a broker throttles,
//! replicas fall behind, a disk is full.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tokio::time::{MissedTickBehavior, interval};
use tracing_subscriber::layer::SubscriberExt;

mod causes;
mod clock;
mod history;
mod load;
mod options;
#[path = "../../../tools/src/shared/properties.rs"]
mod properties;
mod scenario;
mod session;
#[path = "../../../tools/src/shared/signals.rs"]
mod signals;
mod sizes;
mod snapshot;
mod story;
mod svg;
mod terminal;
mod view;

use options::Options;
use properties::Failure;
use session::Session;
use signals::{Signal, Signals};
use story::{LogLayer, Story};
use svg::Shot;
use terminal::{Screen, Wish};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let began = clock::now();
    let story = Arc::new(Story::new(began));
    // What is logged is shown in the view.
    let subscriber = tracing_subscriber::registry().with(LogLayer(Arc::clone(&story)));
    tracing::subscriber::set_global_default(subscriber)?;
    let mut session = Session::start(options, story, began).await?;
    let outcome = match (&options.record, options.headless) {
        (Some(record), _) => record_to(record, &mut session).await,
        (None, Some(seconds)) => watch(&mut session, Duration::try_from_secs_f64(seconds)?, |_| {}).await,
        (None, None) => show(&mut session).await,
    };
    session.end().await;
    outcome
}

/// Shows the view on the terminal until the user leaves.
async fn show(session: &mut Session) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let mut screen = Screen::open()?;
    let mut wishes = terminal::wishes();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => session.look().await?,
            wish = wishes.recv() => match wish {
                Some(Wish::Redraw) => {}
                Some(Wish::Leave) | None => return Ok(ExitCode::SUCCESS),
            },
            signal = signals.next() => return Ok(Signal::exit_code(signal)),
        }
        screen.terminal().draw(|frame| session.view().draw(frame.area(), frame.buffer_mut()))?;
    }
}

/// Watches for a time without a terminal, prints what would be on the screen at the end, and tells whether all is well.
async fn watch(
    session: &mut Session,
    length: Duration,
    mut see: impl FnMut(Shot),
) -> Result<ExitCode, Failure> {
    let mut ticks = interval(TICK);
    let mut buffer = Buffer::empty(SIZE);
    for turn in 0..=u32::try_from(length.as_millis() / TICK.as_millis())? {
        ticks.tick().await;
        session.look().await?;
        buffer = Buffer::empty(SIZE);
        session.view().draw(SIZE, &mut buffer);
        see(Shot { at: TICK * turn, buffer: buffer.clone() });
    }
    let mut out = io::stdout().lock();
    for y in SIZE.top()..SIZE.bottom() {
        let line: String =
            (SIZE.left()..SIZE.right()).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    if session.is_well() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("records are not delivered as they should be at the end");
    Ok(ExitCode::FAILURE)
}

async fn record_to(record: &[String], session: &mut Session) -> Result<ExitCode, Failure> {
    let [file, seconds] = record else { return Err("--record takes a file and a number of seconds".into()) };
    let length = Duration::try_from_secs_f64(seconds.parse()?)?;
    let mut shots = Vec::new();
    let code = watch(session, length, |shot| shots.push(shot)).await?;
    // Twice a second is enough, and keeps the file small.
    let shots: Vec<_> = shots.into_iter().step_by(2).collect();
    std::fs::write(PathBuf::from(file), svg::render(&shots, length))?;
    Ok(code)
}

const TICK: Duration = Duration::from_millis(250);
/// Of the screen that is not there.
const SIZE: Rect = Rect { x: 0, y: 0, width: 108, height: 42 };
