//! Tables in Markdown.

use crate::clients::Client;
use crate::measure::{Outcome, Results};
use crate::scenarios::Scenario;

/// Smallest, middle and largest of several figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Results {
    pub(crate) fn spread(&self, figure: impl Fn(&Outcome) -> f64) -> Option<Spread> {
        let mut figures: Vec<f64> =
            self.outcomes.iter().map(figure).filter(|figure| !figure.is_nan()).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            0 => (figures.get(middle.wrapping_sub(1))? + figures.get(middle)?) / 2.0,
            _ => *figures.get(middle)?,
        };
        Some(Spread { min: *figures.first()?, median, max: *figures.last()? })
    }
}

/// The table of a scenario.
pub(crate) fn of(scenario: &Scenario, results: &[Results]) -> String {
    let mut table = format!("\n### {} (`{}`)\n\n", scenario.title, scenario.name);
    let rounds = results.iter().map(|result| result.outcomes.len()).max().unwrap_or_default();
    let records = results.iter().map(|result| result.case.load.records).max().unwrap_or_default();
    let records = whole(records as f64);
    append(
        &mut table,
        &format!("Rounds: {rounds}; records in each: {records} or fewer. Medians (least – most).\n"),
    );
    let is_of_peers = results.iter().any(|result| result.case.client != Client::Ours);
    let bases: Vec<_> = match is_of_peers {
        true => vec![
            ("franz-go", of_client(results, Client::FranzGo)),
            ("kacrab", of_client(results, Client::Kacrab)),
        ],
        false => vec![("the first", results.first())],
    };
    let times: String = bases.iter().map(|(name, _)| format!("× {name} | ")).collect();
    let (base, _) = bases[0];
    append(
        &mut table,
        &format!(
            "| | records/s | {times}CPU per record, µs | of {base}'s | program + kernel, µs | peak memory, MiB | \
             latency p50 / p99 / p99.9, µs | context switches per record |"
        ),
    );
    append(&mut table, &format!("|{}", "---|".repeat(8 + bases.len())));
    let bases: Vec<_> = bases.into_iter().map(|(_, base)| base).collect();
    // A client that could not be built has no outcomes.
    for result in results.iter().filter(|result| !result.outcomes.is_empty()) {
        line(&mut table, result, &bases);
    }
    for result in results {
        if let Some(fairness) = result.spread(|outcome| outcome.fairness) {
            let (label, percent) = (&result.case.label, fairness.median * 100.0);
            append(
                &mut table,
                &format!(
                    "\n{label}: the slowest task was at {percent:.0} % of the mean when the first was done."
                ),
            );
        }
    }
    append(&mut table, &share_of_the_loop(results));
    table
}

fn append(table: &mut String, line: &str) {
    table.push_str(line);
    table.push('\n');
}

fn of_client(results: &[Results], client: Client) -> Option<&Results> {
    results.iter().find(|result| result.case.client == client)
}

/// What of the figures of the clients in Rust that it is the loop of is not theirs.
fn share_of_the_loop(results: &[Results]) -> String {
    let cpu = |client| of_client(results, client)?.spread(Outcome::cpu_us);
    let (Some(alone), Some(ours)) = (cpu(Client::Loop), cpu(Client::Ours)) else { return String::new() };
    format!(
        "\nThe loop takes {} µs of each record, {:.0} % of what kafka-producer takes with it.",
        fine(alone.median),
        alone.median / ours.median * 100.0
    )
}

fn line(table: &mut String, result: &Results, bases: &[Option<&Results>]) {
    let rate = |outcome: &Outcome| outcome.rate;
    let spread_of =
        |base: Option<&Results>, figure: fn(&Outcome) -> f64| base.and_then(|base| base.spread(figure));
    let median = |figure: fn(&Outcome) -> f64, show: fn(f64) -> String| {
        result.spread(figure).map_or_else(|| "–".to_owned(), |spread| show(spread.median))
    };
    let latencies = [
        median(|outcome| outcome.p50_us, whole),
        median(|outcome| outcome.p99_us, whole),
        median(|outcome| outcome.p999_us, whole),
    ];
    let times: String = bases
        .iter()
        .map(|base| format!("{} | ", ratio(result.spread(rate), spread_of(*base, rate))))
        .collect();
    let base = bases.first().copied().flatten();
    append(
        table,
        &format!(
            "| {} | {} | {times}{} | {} | {} + {} | {} | {} | {} |",
            result.case.label,
            cell(result.spread(rate), whole),
            cell(result.spread(Outcome::cpu_us), fine),
            ratio(result.spread(Outcome::cpu_us), spread_of(base, Outcome::cpu_us)),
            median(|outcome| outcome.user_us, fine),
            median(|outcome| outcome.system_us, fine),
            median(|outcome| outcome.peak_rss, mebibytes),
            latencies.join(" / "),
            median(|outcome| outcome.switches, fine),
        ),
    );
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1}", bytes / (1024.0 * 1024.0))
}

fn cell(spread: Option<Spread>, show: fn(f64) -> String) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |spread| format!("**{}** ({} – {})", show(spread.median), show(spread.min), show(spread.max)),
    )
}

fn ratio(spread: Option<Spread>, base: Option<Spread>) -> String {
    match (spread, base) {
        (Some(spread), Some(base)) => format!("{:.2}", spread.median / base.median),
        _ => "–".to_owned(),
    }
}

/// With commas between thousands.
pub(crate) fn whole(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn fine(figure: f64) -> String {
    if figure < 10.0 { format!("{figure:.3}") } else { format!("{figure:.1}") }
}
