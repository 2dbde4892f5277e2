//! The recorded counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Of one time that something is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

impl Count {
    pub(crate) fn line(self, name: &str) -> String {
        format!("{name:<36}{:>10.1}{:>10.3}", self.instructions, self.allocations)
    }
}

/// Those of all cases, and what they were built with: another compiler makes other code.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) build: String,
    counts: BTreeMap<String, Count>,
}

/// By how much of it a count may differ.
const TOLERANCE: f64 = 0.03;

/// By how much allocations may differ: chance has a hand in how many batches a thousand records make.
const FEW_ALLOCATIONS: f64 = 0.1;

const HEAD: &str = "# Instructions and allocations of each, counted by callgrind (CONTRIBUTING.md). Written by\n\
                    # cargo bench -p kafka-producer-benches --bench instructions -- record\n";

impl Counts {
    pub(crate) fn of_this_build() -> Result<Self, Box<dyn Error>> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = String::from_utf8(Command::new(rustc).arg("--version").output()?.stdout)?;
        let build = format!("{} for {}", version.trim(), std::env::consts::ARCH);
        Ok(Self { build, counts: BTreeMap::new() })
    }

    pub(crate) fn push(&mut self, name: &str, count: Count) {
        self.counts.insert(name.to_owned(), count);
    }

    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(file())?;
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let build = lines.next().ok_or("the file is empty")?.to_owned();
        let mut counts = Self { build, counts: BTreeMap::new() };
        for line in lines {
            let [name, instructions, allocations] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(format!("cannot be read: {line}").into());
            };
            let count = Count { instructions: instructions.parse()?, allocations: allocations.parse()? };
            counts.push(name, count);
        }
        Ok(counts)
    }

    pub(crate) fn record(&self) -> Result<(), Box<dyn Error>> {
        let mut text = format!("{HEAD}{}\n", self.build);
        for (name, count) in &self.counts {
            writeln!(text, "{}", count.line(name))?;
        }
        Ok(std::fs::write(file(), text)?)
    }

    /// Says where others differ from these.
    pub(crate) fn differences(&self, others: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for name in
            self.counts.keys().chain(others.counts.keys().filter(|name| !self.counts.contains_key(*name)))
        {
            let (Some(count), Some(other)) = (self.counts.get(name), others.counts.get(name)) else {
                differences.push(format!("{name}: not in both"));
                continue;
            };
            let differs = |a: f64, b: f64, few: f64| (a - b).abs() > (a * TOLERANCE).max(few);
            if differs(count.instructions, other.instructions, 0.0) {
                let by = 100.0 * (other.instructions / count.instructions - 1.0);
                let (from, to) = (count.instructions, other.instructions);
                differences
                    .push(format!("{name}: {from:.1} instructions recorded, {to:.1} now ({by:+.1} %)"));
            }
            if differs(count.allocations, other.allocations, FEW_ALLOCATIONS) {
                let (from, to) = (count.allocations, other.allocations);
                differences.push(format!("{name}: {from:.3} allocations recorded, {to:.3} now"));
            }
        }
        differences
    }
}

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt"))
}
