//! Tables in Markdown.

use std::fmt::Write;

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
    writeln!(table, "Rounds: {rounds}; records in each: {records} or fewer.\n").expect("a String takes all");
    let is_of_peers = results.iter().any(|result| result.case.client != Client::Ours);
    let base = match is_of_peers {
        true => results.iter().find(|result| result.case.client == Client::FranzGo),
        false => results.first(),
    };
    let against = if is_of_peers { "of franz-go's" } else { "of the first" };
    writeln!(
        table,
        "| | records/s (min – max) | {against} | CPU per record, µs (min – max) | {against} | peak memory, MiB | \
         latency p50 / p99 / p99.9, µs | context switches |"
    )
    .expect("a String takes all");
    table.push_str("|---|---|---|---|---|---|---|---|\n");
    // A client that could not be built has no outcomes.
    for result in results.iter().filter(|result| !result.outcomes.is_empty()) {
        line(&mut table, result, base);
    }
    for result in results {
        if let Some(fairness) = result.spread(|outcome| outcome.fairness) {
            let label = &result.case.label;
            writeln!(
                table,
                "\n{label}: the slowest task was at {:.0} % of the mean when the first was done.",
                fairness.median * 100.0
            )
            .expect("a String takes all");
        }
    }
    table
}

fn line(table: &mut String, result: &Results, base: Option<&Results>) {
    let rate = |outcome: &Outcome| outcome.rate;
    let cpu = |outcome: &Outcome| outcome.cpu_us;
    let median = |figure: fn(&Outcome) -> f64| result.spread(figure).map(|spread| spread.median);
    let latencies: Vec<String> = [
        median(|outcome| outcome.p50_us),
        median(|outcome| outcome.p99_us),
        median(|outcome| outcome.p999_us),
    ]
    .into_iter()
    .map(|figure| figure.map_or_else(|| "–".to_owned(), whole))
    .collect();
    let memory = median(|outcome| outcome.peak_rss)
        .map_or_else(|| "–".to_owned(), |bytes| format!("{:.1}", bytes / (1024.0 * 1024.0)));
    writeln!(
        table,
        "| {} | {} | {} | {} | {} | {memory} | {} | {} |",
        result.case.label,
        cell(result.spread(rate), whole),
        ratio(result.spread(rate), base.and_then(|base| base.spread(rate))),
        cell(result.spread(cpu), fine),
        ratio(result.spread(cpu), base.and_then(|base| base.spread(cpu))),
        latencies.join(" / "),
        median(|outcome| outcome.switches).map_or_else(|| "–".to_owned(), whole),
    )
    .expect("a String takes all");
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
