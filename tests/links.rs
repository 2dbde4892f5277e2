//! The links between the pages of the repository, and the pages of the book.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Beside those of the book.
const PAGES: [&str; 11] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "benches/peers/README.md",
    "examples/README.md",
    "mock/README.md",
    "tests/CLAIMS.md",
    "tools/README.md",
];

fn book() -> Vec<PathBuf> {
    let pages = fs::read_dir(Path::new(ROOT).join("docs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a page without its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a page lead to, but for those out of the repository.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for piece in line.split("](").skip(1) {
            let target = piece.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.contains('`') {
                found.push(target.to_owned());
            }
        }
    }
    found
}

/// The anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        let anchor: String = kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect();
        let same = (1..).map(|number| format!("{anchor}-{number}"));
        let free = [anchor.clone()].into_iter().chain(same).find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

/// What is wrong with a link, if anything is.
fn fault(page: &Path, text: &str, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.to_owned() } else { page.with_file_name("").join(file) };
    if !target.exists() {
        return Some(format!("{}: {link}: there is no such file", page.display()));
    }
    let anchor = anchor?;
    let there = if file.is_empty() { text.to_owned() } else { read(&target) };
    let is_there = anchors(&there).contains(anchor);
    (!is_there).then(|| format!("{}: {link}: there is no such heading", page.display()))
}

#[test]
fn links_lead_to_files_and_headings() {
    let pages = PAGES.map(|page| Path::new(ROOT).join(page)).into_iter().chain(book());
    let mut faults = Vec::new();
    for page in pages {
        let text = read(&page);
        faults.extend(links(&text).iter().filter_map(|link| fault(&page, &text, link)));
    }

    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What they lead to would not be there where the book is.
#[test]
fn links_of_the_book_stay_in_the_book() {
    for page in book() {
        let outside: Vec<_> = links(&read(&page)).into_iter().filter(|link| link.starts_with("..")).collect();

        assert!(outside.is_empty(), "{}: {outside:?}", page.display());
    }
}

#[test]
fn summary_has_every_page_of_the_book() {
    let summary = Path::new(ROOT).join("docs/SUMMARY.md");
    let listed: BTreeSet<_> = links(&read(&summary)).into_iter().collect();

    let pages = book().into_iter().filter(|page| *page != summary);
    let names: BTreeSet<_> = pages.filter_map(|page| Some(page.file_name()?.to_str()?.to_owned())).collect();

    assert_eq!(listed, names);
}

#[test]
fn anchors_are_made_as_hosts_of_repositories_and_mdbook_do() {
    let text =
        "# One page\n## A broker that never answers, for 3 s (`stalled`)\n```\n# no\n```\n## One page\n";

    let expected = ["one-page", "a-broker-that-never-answers-for-3-s-stalled", "one-page-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
}
