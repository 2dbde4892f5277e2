//! A chart of the samples, as SVG.

use std::fmt::Write as _;

use crate::level::Sample;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 60.0;

/// Draws the heap, and what is resident, over time.
pub(crate) fn draw(samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |last| last.seconds);
    let most = samples.iter().map(|s| s.heap.max(s.resident)).fold(1.0, f64::max);
    let line = |of: fn(&Sample) -> f64| {
        let point = |sample: &Sample| {
            let x = MARGIN + sample.seconds / end * WIDTH;
            let y = MARGIN / 2.0 + HEIGHT * (1.0 - of(sample) / most);
            format!("{x:.1},{y:.1}")
        };
        samples.iter().map(point).collect::<Vec<_>>().join(" ")
    };
    let (width, height) = (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN);
    let mut svg = String::new();
    let text = "font-family=\"sans-serif\" font-size=\"12\"";
    let parts = [
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">"),
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>".to_owned(),
        format!("<polyline fill=\"none\" stroke=\"#bbb\" points=\"{}\"/>", line(|sample| sample.resident)),
        format!("<polyline fill=\"none\" stroke=\"#06c\" points=\"{}\"/>", line(|sample| sample.heap)),
        format!("<text x=\"4\" y=\"{}\" {text}>{:.1} MB</text>", MARGIN / 2.0, most / 1e6),
        format!("<text x=\"4\" y=\"{}\" {text}>0</text>", HEIGHT + MARGIN / 2.0),
        format!("<text x=\"{}\" y=\"{}\" {text}>{end:.0} s</text>", WIDTH, HEIGHT + MARGIN),
        format!(
            "<text x=\"{MARGIN}\" y=\"{}\" {text}>blue: bytes on the heap; grey: resident bytes, with what the allocator keeps</text>",
            HEIGHT + MARGIN
        ),
        "</svg>".to_owned(),
    ];
    for part in parts {
        // Writing to a string does not fail.
        let _: Result<(), std::fmt::Error> = writeln!(svg, "{part}");
    }
    svg
}
