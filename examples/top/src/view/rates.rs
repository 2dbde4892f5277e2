//! How many records are acknowledged, sent again, and failed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::{Pen, column, count};
use super::{DIM, bytes};
use crate::history::History;
use crate::snapshot::Snapshot;

pub(super) fn draw(history: &History, area: Rect, buffer: &mut Buffer) {
    let mut top = area.y;
    for ((name, color, counted), height) in LINES.into_iter().zip([3, 2, 1]) {
        let line = Rect { y: top, height, ..area }.intersection(area);
        top += height;
        let row = usize::from(line.height.saturating_sub(1));
        let rate = history.rate(counted);
        let is_quiet = rate < 0.5;
        let mut pen = Pen::new(line, row, buffer);
        pen.write(&format!("{name:12} "), Style::new().fg(DIM));
        let style = Style::new().fg(if is_quiet { DIM } else { color }).add_modifier(Modifier::BOLD);
        pen.write(&format!("{:>7}/s ", count(rate)), style);
        let graph = Rect { x: line.x + LABEL, width: line.width.saturating_sub(LABEL), ..line };
        draw_graph(&history.rates(graph.width.into(), counted), graph.intersection(area), color, buffer);
    }
    if let Some(latest) = history.latest() {
        let text = format!(
            "{}/s, {} records wait, {} in all",
            bytes(history.rate(|snapshot| snapshot.bytes) as usize),
            count(latest.waiting as f64),
            count(latest.delivered as f64)
        );
        Pen::new(area, 6, buffer).write(&text, Style::new().fg(DIM));
    }
}

/// The youngest rate stands at the right.
fn draw_graph(rates: &[f64], area: Rect, color: Color, buffer: &mut Buffer) {
    let most = rates.iter().copied().fold(1.0, f64::max);
    for (back, rate) in rates.iter().rev().take(area.width.into()).enumerate() {
        let back = u16::try_from(back).unwrap_or(u16::MAX);
        let x = area.right().saturating_sub(1).saturating_sub(back);
        column(Rect { x, width: 1, ..area }, rate / most, color, buffer);
    }
}

const LABEL: u16 = 24;

type Count = fn(&Snapshot) -> u64;

const LINES: [(&str, Color, Count); 3] = [
    ("acknowledged", Color::Green, |snapshot| snapshot.delivered),
    ("sent again", Color::Yellow, |snapshot| snapshot.retried),
    ("failed", Color::Red, |snapshot| snapshot.failed),
];
