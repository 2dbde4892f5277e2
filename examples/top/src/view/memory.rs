//! The memory that waits for being sent or acknowledged.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::paint::Pen;
use super::{COLORS, DIM, bytes};
use crate::history::History;

pub(super) fn draw(history: &History, area: Rect, buffer: &mut Buffer) {
    let Some(latest) = history.latest() else { return };
    let memory = latest.memory;
    let total = memory.total.max(1) as f64;
    let mut pen = Pen::new(area, 0, buffer);
    for (partition, color) in latest.partitions.iter().zip(COLORS.into_iter().cycle()) {
        // To whole cells, so that what stands side by side does not need two colours in one.
        let cells = (partition.held as f64 / total * f64::from(area.width)).round() as u16;
        pen.bar(1.0, cells, color);
    }
    let mut pen = Pen::new(area, 1, buffer);
    pen.write(&bytes(memory.used), Style::new().add_modifier(Modifier::BOLD));
    pen.write(&format!(" of {} (buffer.memory)", bytes(memory.total)), Style::new().fg(DIM));
    let style = Style::new().fg(if memory.callers > 0 { Color::Red } else { DIM });
    pen.write_right(&format!("{} callers wait", memory.callers), style);

    let most = latest.partitions.iter().map(|partition| partition.held).max().unwrap_or_default();
    // The bars are of use beside each other, but a single batch shall not look like much.
    let scale = most.max(memory.total / 16).max(1) as f64;
    for (row, (partition, color)) in latest.partitions.iter().zip(COLORS.into_iter().cycle()).enumerate() {
        let mut pen = Pen::new(area, row + 2, buffer);
        pen.write(&format!("{:<10} ", partition.name), Style::new().fg(color));
        match partition.leader {
            Some(leader) => pen.write(&format!("→ {leader}  "), Style::new().fg(DIM)),
            None => pen.write("→ ?  ", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)),
        }
        pen.bar(partition.held as f64 / scale, BAR, color);
        let style = Style::new().fg(if partition.queued > 0 { Color::Reset } else { DIM });
        pen.write(&format!(" {:>8}", bytes(partition.held)), style);
        pen.write(&format!(" {:>4} queued", partition.queued), style);
    }
}

const BAR: u16 = 12;
