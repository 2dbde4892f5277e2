//! A chart of the rates and of the processor time, as SVG.

use std::fmt::Write;

use crate::clients::Client;
use crate::measure::{Outcome, Results};
use crate::scenarios::Scenario;
use crate::table::Spread;

const BAR: f64 = 22.0;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 430.0;

/// Two groups of bars with the medians; thin lines show the least and the most.
pub(crate) fn of(scenario: &Scenario, results: &[Results]) -> String {
    // The loop would be the longest bar, and is no client.
    let clients: Vec<_> = results.iter().filter(|result| result.case.client != Client::Loop).collect();
    let rate = |outcome: &Outcome| outcome.rate / 1e6;
    let cpu = Outcome::cpu_us;
    let height = 2.0 * (clients.len() as f64 * BAR + 60.0) + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 {height:.0}\" width=\"720\" \
         height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"13\">{}</text>\n",
        scenario.title
    );
    let below = group(&mut svg, "million records per second", &clients, rate, 44.0);
    group(&mut svg, "µs of processor time per record", &clients, cpu, below + 24.0);
    svg.push_str("</svg>\n");
    svg
}

fn group(svg: &mut String, title: &str, results: &[&Results], figure: fn(&Outcome) -> f64, top: f64) -> f64 {
    let spreads: Vec<_> =
        results.iter().filter_map(|result| Some((*result, result.spread(figure)?))).collect();
    let largest = spreads.iter().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{top}\" font-weight=\"bold\">{title}</text>");
    let mut y = top + 10.0;
    for (result, spread) in spreads {
        bar(svg, &result.case.label, spread, WIDTH / largest, y);
        y += BAR;
    }
    y
}

fn bar(svg: &mut String, label: &str, spread: Spread, scale: f64, y: f64) {
    let fill = match label {
        "kafka-producer" => "#b7410e",
        "the limit" => "#c8c8c8",
        _ => "#5b7c99",
    };
    let (width, middle) = (spread.median * scale, y + BAR / 2.0 - 2.0);
    let (from, to) = (LEFT + spread.min * scale, LEFT + spread.max * scale);
    let _ = write!(
        svg,
        "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n\
         <rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{fill}\"/>\n\
         <line x1=\"{from:.1}\" y1=\"{middle:.1}\" x2=\"{to:.1}\" y2=\"{middle:.1}\" stroke=\"black\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>\n",
        LEFT - 8.0,
        middle + 4.0,
        BAR - 6.0,
        to.max(LEFT + width) + 6.0,
        middle + 4.0,
        spread.median,
    );
}
