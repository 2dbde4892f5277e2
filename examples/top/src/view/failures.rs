//! Records that have failed, by cause.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::DIM;
use super::paint::{Pen, count};
use crate::history::History;

pub(super) fn draw(history: &History, area: Rect, buffer: &mut Buffer) {
    let causes = history.latest().map(|latest| latest.causes.as_slice()).unwrap_or_default();
    if causes.is_empty() {
        Pen::new(area, 0, buffer).write("none", Style::new().fg(DIM));
    }
    for (row, (name, cause)) in causes.iter().enumerate() {
        let mut pen = Pen::new(area, row, buffer);
        let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        pen.write(&format!("{:>7}  ", count(cause.records as f64)), style);
        pen.write(&format!("{name}  "), Style::new().add_modifier(Modifier::BOLD));
        pen.write(&cause.text, Style::new().fg(DIM));
    }
}
