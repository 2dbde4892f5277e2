//! How each broker fares, and why.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::Pen;
use super::{DIM, time};
use crate::history::History;
use crate::snapshot::Mood;

pub(super) fn draw(history: &History, area: Rect, buffer: &mut Buffer) {
    let Some(latest) = history.latest() else { return };
    for (index, broker) in latest.brokers.iter().enumerate() {
        let (mark, color) = match broker.mood {
            Mood::Bad => ("✗", Color::Red),
            Mood::Good => ("●", Color::Green),
            Mood::Idle => ("○", DIM),
            Mood::Slow => ("◐", Color::Yellow),
        };
        let mut pen = Pen::new(area, index * 2, buffer);
        pen.write(&format!("{mark} "), Style::new().fg(color));
        let name = broker.node.map_or_else(|| "?".to_owned(), |node| node.to_string());
        pen.write(&format!("{name:<2}"), Style::new().add_modifier(Modifier::BOLD));
        pen.write(&format!("{:<16}", broker.address), Style::new().fg(DIM));
        pen.write(&format!(" {} under way", broker.in_flight), Style::new());
        let latency = broker.node.map(|node| history.latency_of(node, WINDOW)).unwrap_or_default();
        if let Some(median) = latency.percentile(50.0) {
            pen.write_right(&format!("p50 {}", time(median)), Style::new().fg(DIM));
        }
        let mut pen = Pen::new(area, index * 2 + 1, buffer);
        pen.skip(4);
        pen.write(&broker.words, Style::new().fg(color));
    }
}

const WINDOW: Duration = Duration::from_secs(3);
