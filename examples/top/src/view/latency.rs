//! How long requests take.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::{Pen, column, count};
use super::{DIM, time};
use crate::history::History;

pub(super) fn draw(history: &History, area: Rect, buffer: &mut Buffer) {
    let sizes = history.latency(WINDOW);
    let bounds = BOUNDS.map(|(bound, _)| bound);
    let counts = sizes.between(&bounds);
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let height = area.height.saturating_sub(2);
    for (index, (share, (bound, label))) in
        counts.iter().map(|count| *count as f64 / most as f64).zip(BOUNDS).enumerate()
    {
        let x = area.x + u16::try_from(index).unwrap_or(u16::MAX).saturating_mul(CELLS);
        let place = Rect { x, width: CELLS - 1, height, ..area }.intersection(area);
        let color = match bound {
            fast if fast < 0.02 => Color::Green,
            slow if slow < 0.2 => Color::Yellow,
            _ => Color::Red,
        };
        column(place, share, color, buffer);
        let below = Rect { x, width: CELLS, ..area }.intersection(area);
        Pen::new(below, height.into(), buffer).write(label, Style::new().fg(DIM));
    }
    let mut pen = Pen::new(area, usize::from(height) + 1, buffer);
    for percent in [50.0, 99.0, 100.0] {
        let name = if percent < 100.0 { format!("p{percent} ") } else { "max ".to_owned() };
        let value = sizes.percentile(percent).map_or_else(|| "–".to_owned(), time);
        pen.write(&name, Style::new().fg(DIM));
        pen.write(&format!("{value}  "), Style::new().add_modifier(Modifier::BOLD));
    }
    pen.write_right(&format!("{} answers", count(sizes.count() as f64)), Style::new().fg(DIM));
}

const WINDOW: Duration = Duration::from_secs(3);
/// Of each column, with the space behind it.
const CELLS: u16 = 4;
/// Powers of two in microseconds, as the buckets of the histogram end.
const BOUNDS: [(f64, &str); 12] = [
    (0.000_512, "½"),
    (0.001_024, "1"),
    (0.002_048, "2"),
    (0.004_096, "4"),
    (0.008_192, "8"),
    (0.016_384, "16"),
    (0.032_768, "33"),
    (0.065_536, "66"),
    (0.131_072, "131"),
    (0.262_144, "262"),
    (0.524_288, "524"),
    (1.048_576, "1 s"),
];
