//! Counts the instructions and allocations of the hot path under callgrind, in one thread, without a network, and holds
//! them against those in `benches/instructions.txt`.
//!
//! ```text
//! cargo bench -p kafka-producer-benches --bench instructions            # prints them
//! cargo bench -p kafka-producer-benches --bench instructions -- record  # and writes them to the file
//! cargo bench -p kafka-producer-benches --bench instructions -- check   # and fails if they differ from it
//! ```

mod callgrind;
mod cases;
mod counts;
mod pipe;

use std::error::Error;
use std::process::ExitCode;

use cases::CASES;
use counts::Counts;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => count_all().map(|_| ExitCode::SUCCESS),
        ["record"] => count_all()?.ok_or("nothing was counted")?.record().map(|()| ExitCode::SUCCESS),
        ["check"] => check(),
        // Under callgrind.
        ["case", name] => {
            let (_, case) = CASES.into_iter().find(|(known, _)| *known == name).ok_or("no such case")?;
            println!("{}", case());
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("expected nothing, `record` or `check`".into()),
    }
}

/// `None` without valgrind.
fn count_all() -> Result<Option<Counts>, Box<dyn Error>> {
    if !callgrind::is_installed() {
        println!("SKIPPED: there is no valgrind");
        return Ok(None);
    }
    let mut counts = Counts::of_this_build()?;
    for (name, _) in CASES {
        let count = callgrind::count(name)?;
        println!("{}", count.line(name));
        counts.push(name, count);
    }
    Ok(Some(counts))
}

fn check() -> Result<ExitCode, Box<dyn Error>> {
    let recorded = Counts::read()?;
    let build = Counts::of_this_build()?;
    if recorded.build != build.build {
        println!("SKIPPED: recorded with {}, and this is {}", recorded.build, build.build);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(counts) = count_all()? else { return Ok(ExitCode::SUCCESS) };
    let differences = recorded.differences(&counts);
    for difference in &differences {
        println!("{difference}");
    }
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("if that is meant to be: cargo bench -p kafka-producer-benches --bench instructions -- record");
    Ok(ExitCode::FAILURE)
}
