//! Running the cases of a scenario round by round.

use std::error::Error;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_producer_peers::options::{Mode, Options};
use kafka_producer_peers::outcome::payloads;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::broker::Target;
use crate::clients::Client;
use crate::scenarios::{Case, Scenario};

/// Where the clients are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) rust: PathBuf,
    pub(crate) go: PathBuf,
    /// A class path; empty if there is no Java.
    pub(crate) java: String,
    /// The script that runs real brokers.
    pub(crate) cluster: PathBuf,
}

/// What a run came to; what a client does not tell is `NaN`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) rate: f64,
    /// In the program and in the kernel.
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
    pub(crate) peak_rss: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// Voluntary context switches for each record.
    pub(crate) switches: f64,
    pub(crate) fairness: f64,
}

impl Outcome {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.user_us + self.system_us
    }
}

/// The outcomes of a case, one for each round.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) case: Case,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Runs all cases once to warm up, then `rounds` times, in turn: each round begins with the next case, and every second one goes backwards,
/// so that none always runs after the same.
pub(crate) fn run(
    scenario: &Scenario,
    programs: &Programs,
    rounds: usize,
    share: f64,
    only: &str,
) -> Result<Vec<Results>, Box<dyn Error>> {
    let mut target = Target::start(scenario.broker, &programs.cluster)?;
    let is_wanted = |case: &&Case| only == "all" || only.split(',').any(|name| name == case.client.name());
    let mut results: Vec<_> = scenario
        .cases
        .iter()
        .filter(is_wanted)
        .map(|case| {
            let mut case = case.clone();
            case.load.records = ((case.load.records as f64 * share) as u64).max(1);
            if case.load.mode == "transactions" {
                // Whole ones.
                let size = case.load.transaction_size;
                case.load.records = case.load.records.next_multiple_of(size);
            }
            Results { case, outcomes: Vec::new() }
        })
        .collect();
    let file = payload_file(scenario)?;
    let is_watched = std::io::stderr().is_terminal();
    for round in 0..=rounds {
        for index in order(round, results.len()) {
            let result = &mut results[index];
            if is_watched {
                eprint!("\r{}: round {round} of {rounds}: {:<50}", scenario.name, result.case.label);
            }
            match one(&result.case, programs, &mut target, &file) {
                // The first round warms caches and clocks.
                Ok(outcome) if round > 0 || rounds == 0 => result.outcomes.extend(outcome),
                Ok(_) => {}
                Err(error) => eprintln!("\n{}: {error}", result.case.label),
            }
        }
    }
    if is_watched {
        eprintln!("\r{}: done{:<60}", scenario.name, "");
    }
    std::fs::remove_file(file)?;
    Ok(results)
}

fn order(round: usize, cases: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..cases).collect();
    order.rotate_left(round % cases.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// The values as lines, for clients that read them from a file.
fn payload_file(scenario: &Scenario) -> Result<PathBuf, Box<dyn Error>> {
    let size = scenario.cases.first().map_or(100, |case| case.load.size);
    let options = Options {
        bootstrap: String::new(),
        topic: String::new(),
        records: 0,
        size,
        batch_size: 0,
        linger_ms: 0,
        compression: String::new(),
        mode: Mode::Pipelined,
        transaction_size: 0,
        tls_ca: String::new(),
        payload: "text".to_owned(),
    };
    let path = std::env::temp_dir().join(format!("kafka-producer-peers-{}.txt", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    for payload in payloads(&options) {
        file.write_all(&payload)?;
        file.write_all(b"\n")?;
    }
    Ok(path)
}

fn one(
    case: &Case,
    programs: &Programs,
    target: &mut Target,
    file: &Path,
) -> Result<Option<Outcome>, Box<dyn Error>> {
    let prepared = target.prepare(case.broker)?;
    let command = case.client.command(programs, case, &prepared.bootstrap, &prepared.topic, file);
    let Some(command) = command else { return Ok(None) };
    let (text, from_outside) = watch(command)?;
    let mut outcome = match case.client {
        Client::Java if case.load.mode == "pipelined" => read_java(&text)?,
        _ => read_json(&text)?,
    };
    if outcome.peak_rss.is_nan() {
        outcome.peak_rss = from_outside.peak_rss;
    }
    if case.client == Client::Java && case.load.mode == "pipelined" {
        let each = |duration: Duration| duration.as_secs_f64() * 1e6 / case.load.records as f64;
        (outcome.user_us, outcome.system_us) = (each(from_outside.user), each(from_outside.system));
    }
    let is_counted = !matches!(case.load.mode, "stalled" | "idle") && case.client != Client::Loop;
    match prepared.complaint(case.load.records).filter(|_| is_counted) {
        Some(complaint) => Err(complaint.into()),
        None => Ok(Some(outcome)),
    }
}

/// What can be seen of a program from outside.
struct FromOutside {
    user: Duration,
    system: Duration,
    peak_rss: f64,
}

/// A client that retries for ever must not hold up the others.
const LIMIT: Duration = Duration::from_secs(180);

fn watch(mut command: Command) -> Result<(String, FromOutside), Box<dyn Error>> {
    let (user, system) = children_cpu()?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = read_all(child.stdout.take());
    let complaints = read_all(child.stderr.take());
    let status_file = format!("/proc/{}/status", child.id());
    let begin = Instant::now();
    let mut peak_rss = f64::NAN;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > LIMIT {
            child.kill()?;
        }
        let text = std::fs::read_to_string(&status_file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kilobytes = line.trim().trim_end_matches("kB").trim().parse::<f64>();
        peak_rss = kilobytes.map_or(peak_rss, |kilobytes| kilobytes * 1024.0);
        std::thread::sleep(Duration::from_millis(20));
    };
    let (text, complaints) = (output.join().unwrap_or_default(), complaints.join().unwrap_or_default());
    if !status.success() {
        return Err(format!("{status}: {}", complaints.trim()).into());
    }
    let (user_after, system_after) = children_cpu()?;
    let (user, system) = (user_after.saturating_sub(user), system_after.saturating_sub(system));
    Ok((text, FromOutside { user, system, peak_rss }))
}

/// Reads on a thread of its own, so that no pipe is ever full.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            // What could be read until something went wrong is as good as it gets.
            drop(pipe.read_to_string(&mut text));
        }
        text
    })
}

/// In the programs and in the kernel, of all that have ended.
fn children_cpu() -> nix::Result<(Duration, Duration)> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |micros: i64| Duration::from_micros(micros.cast_unsigned());
    Ok((micros(usage.user_time().num_microseconds()), micros(usage.system_time().num_microseconds())))
}

fn read_json(text: &str) -> Result<Outcome, String> {
    let line =
        text.lines().find(|line| line.starts_with('{')).ok_or_else(|| format!("no figures: {text}"))?;
    let member = |name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
        rest.split([',', '}']).next()?.trim().parse::<f64>().ok()
    };
    let failed = member("failed").unwrap_or(0.0);
    if failed > 0.0 {
        return Err(format!("{failed} records failed"));
    }
    let get = |name| member(name).unwrap_or(f64::NAN);
    Ok(Outcome {
        rate: get("rate"),
        user_us: get("user_us"),
        system_us: get("sys_us"),
        peak_rss: get("peak_rss"),
        p50_us: get("p50_us"),
        p99_us: get("p99_us"),
        p999_us: get("p999_us"),
        switches: get("voluntary_switches") / get("records"),
        fairness: get("fairness"),
    })
}

/// The last line of Kafka's benchmark: `N records sent, R records/sec (…), … 0 ms 50th, 1 ms 95th, 2 ms 99th, 3 ms 99.9th.`
fn read_java(text: &str) -> Result<Outcome, String> {
    let line =
        text.lines().rfind(|line| line.contains("99.9th")).ok_or_else(|| format!("no figures: {text}"))?;
    let before = |mark: &str| {
        let words = line.split_once(mark)?.0;
        words.trim().rsplit([' ', ',']).find_map(|word| word.parse::<f64>().ok())
    };
    let get = |mark| before(mark).unwrap_or(f64::NAN);
    Ok(Outcome {
        rate: get(" records/sec"),
        user_us: f64::NAN,
        system_us: f64::NAN,
        peak_rss: f64::NAN,
        p50_us: get(" ms 50th") * 1e3,
        p99_us: get(" ms 99th") * 1e3,
        p999_us: get(" ms 99.9th") * 1e3,
        switches: f64::NAN,
        fairness: f64::NAN,
    })
}
