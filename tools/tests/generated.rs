//! The completions and the pages of the manual that the tools write.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// Each tool, and one of its options.
const TOOLS: [(&str, &str, &str); 3] = [
    ("kafka-producer-console", env!("CARGO_BIN_EXE_kafka-producer-console"), "--compression-codec"),
    ("kafka-producer-perf", env!("CARGO_BIN_EXE_kafka-producer-perf"), "--record-size"),
    ("kafka-producer-topics", env!("CARGO_BIN_EXE_kafka-producer-topics"), "--replication-factor"),
];

fn generate(program: &str, kind: &str) -> String {
    let output = Command::new(program).args(["--generate", kind]).output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a program makes of an input, or `None` if this machine does not have it.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("SKIPPED: there is no {program}");
            return None;
        }
        child => child.expect("the program starts"),
    };
    // It may end before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{program} {arguments:?}: {complaint}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn bash_completes_options() {
    for (name, program, option) in TOOLS {
        let script = generate(program, "complete-bash");
        let begun = &option[..6];
        let asked = format!(
            "[[ $(complete -p {name}) =~ -F\\ ([^\\ ]+) ]]; COMP_WORDS=({name} {begun}); COMP_CWORD=1\n\
             ${{BASH_REMATCH[1]}} {name} {begun} {name}; echo ${{COMPREPLY[@]}}"
        );

        let Some(completed) = run("bash", &["--norc"], &format!("{script}\n{asked}\n")) else { return };

        assert!(completed.split_whitespace().any(|word| word == option), "{name} {begun}: {completed}");
    }
}

#[test]
fn other_shells_have_completions_too() {
    for (name, program, option) in TOOLS {
        for kind in ["complete-fish", "complete-powershell", "complete-zsh"] {
            let script = generate(program, kind);

            assert!(
                script.contains(name) && script.contains(option.trim_start_matches('-')),
                "{kind} of {name}"
            );
        }
    }
}

#[test]
fn the_manual_has_each_option() {
    for (name, program, option) in TOOLS {
        let page = generate(program, "man");

        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(page.contains(&option.replace('-', r"\-")), "{page}");
    }
}

/// Images of containers often have a `man` that only says that there is no manual.
#[test]
fn groff_finds_nothing_wrong_with_the_manual() {
    for (name, program, option) in TOOLS {
        let page = generate(program, "man");

        let Some(shown) = run("groff", &["-Kutf8", "-man", "-ww", "-Tutf8", "-P-cbou"], &page) else {
            return;
        };

        // A hyphen stands for a minus where the output knows both.
        assert!(shown.replace(['\u{2010}', '\u{2212}'], "-").contains(option), "{name}: {shown}");
    }
}

#[test]
fn nothing_else_may_stand_beside_generate() {
    for (_, program, _) in TOOLS {
        let output = Command::new(program)
            .args(["--generate", "man", "--topic", "orders"])
            .output()
            .expect("the program starts");

        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
