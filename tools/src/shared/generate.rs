//! `--generate`: completions for shells and a page of the manual, made of the command line itself.

use std::io::{self, Write};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command, Parser};
use clap_complete::Shell;
use clap_mangen::Man;

/// Takes the command line apart, or does what `--generate` asks for and ends the program.
pub(crate) fn parse<T: Parser>() -> T {
    let mut command = T::command().arg(generate().exclusive(true));
    // Alone, it does without what is required otherwise.
    let alone =
        Command::new("alone").disable_help_flag(true).arg(generate().required(true)).try_get_matches();
    if let Some(kind) = alone.ok().and_then(|matches| matches.get_one::<Kind>(OPTION).copied()) {
        let mut text = Vec::new();
        let done = kind.write(&mut command, &mut text).and_then(|()| io::stdout().write_all(&text));
        // The reader may want only the beginning.
        std::process::exit(i32::from(done.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe)));
    }
    T::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn generate() -> Arg {
    let kinds = PossibleValuesParser::new(KINDS.map(|(name, _)| name));
    let kind = |name: String| KINDS.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind);
    Arg::new(OPTION)
        .long(OPTION)
        .value_name("KIND")
        .help("Print a page of the manual, or completions for a shell, and do nothing else")
        .value_parser(kinds.try_map(move |name| kind(name).ok_or("unknown")))
}

/// What can be made of a command line.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Completions(Shell),
    Manual,
}

impl Kind {
    fn write(self, command: &mut Command, to: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Completions(shell) => {
                let name = command.get_name().to_owned();
                clap_complete::generate(shell, command, name, to);
                Ok(())
            }
            Self::Manual => Man::new(command.clone()).render(to),
        }
    }
}

const OPTION: &str = "generate";

/// The names are those of ripgrep.
const KINDS: [(&str, Kind); 5] = [
    ("man", Kind::Manual),
    ("complete-bash", Kind::Completions(Shell::Bash)),
    ("complete-fish", Kind::Completions(Shell::Fish)),
    ("complete-powershell", Kind::Completions(Shell::PowerShell)),
    ("complete-zsh", Kind::Completions(Shell::Zsh)),
];
