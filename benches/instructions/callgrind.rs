//! Runs a case under callgrind and reads what was counted.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::counts::Count;

pub(crate) fn is_installed() -> bool {
    let version =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

pub(crate) fn count(case: &str) -> Result<Count, Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("kafka-producer-{case}-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let count = count_in(&directory, case);
    std::fs::remove_dir_all(&directory)?;
    count
}

/// The files of the counts go into a directory.
fn count_in(directory: &Path, case: &str) -> Result<Count, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--zero-before=*begin_count*", "--dump-before=*end_count*"])
        .arg(format!("--callgrind-out-file={}", directory.join("count").display()))
        .arg(std::env::current_exe()?)
        .args(["case", case])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let times: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let (mut instructions, mut allocations) = (0, 0);
    for file in std::fs::read_dir(directory)? {
        let text = std::fs::read_to_string(file?.path())?;
        // There is one more file, of what comes last and is not counted.
        if text.contains("desc: Trigger: --dump-before") {
            instructions += read_total(&text).ok_or("callgrind has counted nothing")?;
            allocations += read_allocations(&text);
        }
    }
    if instructions == 0 {
        return Err("callgrind has counted nothing".into());
    }
    let each = |total: u64| total as f64 / times as f64;
    Ok(Count { instructions: each(instructions), allocations: each(allocations) })
}

fn read_total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Counts the calls of the functions of C's library that allocate. A name stands only where it comes first; later there is
/// its number.
fn read_allocations(text: &str) -> u64 {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut callee = "";
    let mut allocations = 0;
    for line in text.lines() {
        let named = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="));
        if let Some((id, name)) = named.map(|named| named.split_once(' ').unwrap_or((named, ""))) {
            if !name.is_empty() {
                names.insert(id, name);
            }
            callee = names.get(id).copied().unwrap_or(id);
        } else if let Some(calls) = line.strip_prefix("calls=")
            && ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"].contains(&callee)
        {
            allocations += calls.split(' ').next().and_then(|calls| calls.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    allocations
}
