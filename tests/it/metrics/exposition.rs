//! A parser of the text format of Prometheus (version 0.0.4), as strict as its description.

use std::collections::{BTreeMap, BTreeSet};

type Labels = BTreeMap<String, String>;

/// What a scrape gives.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    kinds: BTreeMap<String, String>,
    values: BTreeMap<(String, Labels), f64>,
    helped: BTreeSet<String>,
    /// The name whose samples come at the moment.
    current: Option<String>,
}

impl Exposition {
    /// Reads a text, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        let mut exposition = Self::default();
        for line in text.lines() {
            exposition.take_line(line).map_err(|problem| format!("{problem}: {line}"))?;
        }
        exposition.check_histograms()?;
        Ok(exposition)
    }

    pub(super) fn kind(&self, name: &str) -> Option<&str> {
        self.kinds.get(name).map(String::as_str)
    }

    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.values.get(&(name.to_owned(), labels)).copied()
    }

    fn take_line(&mut self, line: &str) -> Result<(), String> {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').ok_or("no text")?;
            is_name(name, true).then_some(()).ok_or("bad name")?;
            unescape(text, false)?;
            return self.helped.insert(name.to_owned()).then_some(()).ok_or_else(|| "second HELP".to_owned());
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or("no type")?;
            ["counter", "gauge", "histogram"].contains(&kind).then_some(()).ok_or("unknown type")?;
            self.current = Some(name.to_owned());
            let before = self.kinds.insert(name.to_owned(), kind.to_owned());
            return before.is_none().then_some(()).ok_or_else(|| "second TYPE".to_owned());
        }
        self.take_sample(line)
    }

    fn take_sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        is_name(name, true).then_some(()).ok_or("bad name")?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => read_labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = value.strip_prefix(' ').ok_or("no space before the value")?;
        let value: f64 = value.parse().map_err(|_| "bad value")?;
        let family = self.current.as_ref().ok_or("no TYPE")?;
        let is_histogram = self.kinds.get(family).is_some_and(|kind| kind == "histogram");
        let is_of_family = match name.strip_prefix(family.as_str()) {
            Some("") => !is_histogram,
            Some("_bucket" | "_count" | "_sum") => is_histogram,
            _ => false,
        };
        is_of_family.then_some(()).ok_or("sample of another name")?;
        let before = self.values.insert((name.to_owned(), labels), value);
        before.is_none().then_some(()).ok_or_else(|| "second sample".to_owned())
    }

    /// Buckets add up, and the last has everything.
    fn check_histograms(&self) -> Result<(), String> {
        let mut series = BTreeMap::<(&str, Labels), Vec<(f64, f64)>>::new();
        for ((name, labels), value) in &self.values {
            let Some(family) = name.strip_suffix("_bucket") else { continue };
            let mut labels = labels.clone();
            let end = labels.remove("le").ok_or("bucket without an end")?;
            let end: f64 = end.parse().map_err(|_| format!("{name} has the end {end}"))?;
            series.entry((family, labels)).or_default().push((end, *value));
        }
        for ((family, labels), mut buckets) in series {
            buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            let is_growing = buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1);
            let count = self.values.get(&(format!("{family}_count"), labels.clone()));
            let sum = self.values.get(&(format!("{family}_sum"), labels.clone()));
            let last = buckets.last().copied();
            if !is_growing || sum.is_none() || last != count.map(|count| (f64::INFINITY, *count)) {
                return Err(format!("{family} {labels:?} does not add up: {buckets:?}, {count:?}, {sum:?}"));
            }
        }
        Ok(())
    }
}

fn is_name(name: &str, may_have_colon: bool) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || (may_have_colon && c == ':');
    name.chars().all(is_legal) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// Reads labels, and returns what follows their brace.
fn read_labels(text: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("label without a value")?;
        is_name(name, false).then_some(()).ok_or("bad label")?;
        let end = closing_quote(after).ok_or("value without an end")?;
        let (value, after) = after.split_at(end);
        let before = labels.insert(name.to_owned(), unescape(value, true)?);
        before.is_none().then_some(()).ok_or("second label of a name")?;
        let after = after.strip_prefix('"').ok_or("no quote")?;
        if let Some(after) = after.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = after.strip_prefix(',').ok_or("no comma")?;
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        (c == '"' && !was_escaped).then_some(at)
    })
}

fn unescape(text: &str, is_quoted: bool) -> Result<String, String> {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match (c, (c == '\\').then(|| chars.next()).flatten()) {
            ('\\', Some('\\')) => '\\',
            ('\\', Some('n')) => '\n',
            ('\\', Some('"')) if is_quoted => '"',
            ('\\', other) => return Err(format!("bad escape {other:?}")),
            (c, _) => c,
        });
    }
    Ok(plain)
}

#[test]
fn parser_finds_what_is_wrong() {
    let bad = [
        "a 1",
        "# TYPE a counter\na 1",
        "a 1\n",
        "# TYPE a counter\nb 1\n",
        "# TYPE a counter\na 1\na 1\n",
        "# TYPE a counter\na{x=\"1} 1\n",
        "# TYPE a counter\na{x-y=\"1\"} 1\n",
        "# TYPE a counter\na{x=\"\\q\"} 1\n",
        "# TYPE a counter\na one\n",
        "# TYPE a counter\n# TYPE a gauge\na 1\n",
        "# TYPE 1a counter\n1a 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
    ];

    for text in bad {
        assert!(Exposition::parse(text).is_err(), "{text}");
    }
    let good = "# HELP h A.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n";
    assert!(Exposition::parse(good).is_ok());
}
