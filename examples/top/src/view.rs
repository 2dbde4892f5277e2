//! What is on the screen: a pure function of the snapshots, the story and the size.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, BorderType, Widget};

use crate::history::{History, Status};
use crate::story::{Line, Teller};

mod brokers;
mod failures;
mod latency;
mod memory;
mod paint;
mod rates;

use self::paint::Pen;

/// All that is shown.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Where records are sent.
    pub(crate) target: &'a str,
    pub(crate) history: &'a History,
    /// What has happened, oldest first.
    pub(crate) story: &'a [Line],
}

/// Lines of the story that a screen may have room for.
pub(crate) const STORY_LINES: usize = 60;

impl View<'_> {
    pub(crate) fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let rows = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(9),
            Constraint::Length(10),
            Constraint::Length(5),
            Constraint::Fill(1),
        ]);
        let [head, first, second, third, fourth] = rows.areas(area);
        let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]);
        let [rates, latency] = halves.areas(first);
        let [memory, brokers] = halves.areas(second);

        self.draw_head(head, buffer);
        rates::draw(self.history, panel("rates", rates, buffer), buffer);
        latency::draw(self.history, panel("latency of requests in ms, last 3 s", latency, buffer), buffer);
        memory::draw(self.history, panel("memory, and who holds it", memory, buffer), buffer);
        brokers::draw(self.history, panel("brokers", brokers, buffer), buffer);
        failures::draw(self.history, panel("failed records by cause", third, buffer), buffer);
        self.draw_story(panel("what happens", fourth, buffer), buffer);
    }

    fn draw_head(&self, area: Rect, buffer: &mut Buffer) {
        let (word, color) = match self.history.status() {
            Status::Delivering => ("● delivering", Color::Green),
            Status::Hampered => ("● hampered", Color::Yellow),
            Status::Idle => ("● idle", DIM),
            Status::Stuck => ("● stuck", Color::Red),
        };
        let mut pen = Pen::new(area, 0, buffer);
        pen.write(
            " kafka-producer ",
            Style::new().fg(Color::Black).bg(Color::Cyan).add_modifier(Modifier::BOLD),
        );
        pen.write(&format!("  {}  ", self.target), Style::new().fg(DIM));
        pen.write(word, Style::new().fg(color).add_modifier(Modifier::BOLD));
        let at = self.history.latest().map_or(0.0, |latest| latest.at.as_secs_f64());
        pen.write_right(&format!("{at:6.1} s   q leaves "), Style::new().fg(DIM));
    }

    fn draw_story(&self, area: Rect, buffer: &mut Buffer) {
        let skipped = self.story.len().saturating_sub(area.height.into());
        for (row, line) in self.story.iter().skip(skipped).enumerate() {
            let (who, style) = match line.teller {
                Teller::Info => ("info  ", Style::new().fg(Color::Green)),
                Teller::Script => ("script", Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD)),
                Teller::Warning => ("warn  ", Style::new().fg(Color::Yellow)),
            };
            let mut pen = Pen::new(area, row, buffer);
            pen.write(&format!("{:5.1} ", line.at.as_secs_f64()), Style::new().fg(DIM));
            pen.write(&format!("{who} "), style);
            pen.write(&line.text, if line.teller == Teller::Script { style } else { Style::new() });
            if line.repeated > 0 {
                pen.write(&format!(" ({} more)", line.repeated), Style::new().add_modifier(Modifier::BOLD));
            }
            pen.write(&line.details, Style::new().fg(DIM));
        }
    }
}

/// Draws a frame, and returns what is inside.
fn panel(title: &str, area: Rect, buffer: &mut Buffer) -> Rect {
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(Style::new().fg(DIM))
        .title_style(Style::new().fg(Color::White).add_modifier(Modifier::BOLD))
        .title(format!(" {title} "));
    let inner = block.inner(area);
    block.render(area, buffer);
    let margin = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    margin.intersection(inner)
}

/// For what matters less.
const DIM: Color = Color::DarkGray;

/// One for each partition, in turn.
const COLORS: [Color; 6] =
    [Color::Cyan, Color::Magenta, Color::Blue, Color::Green, Color::Yellow, Color::LightRed];

/// Returns a number of bytes for people.
fn bytes(bytes: usize) -> String {
    match bytes as f64 {
        small if small < 1024.0 => format!("{bytes} B"),
        some if some < 1024.0 * 1024.0 => format!("{:.0} KiB", some / 1024.0),
        many => format!("{:.1} MiB", many / 1024.0 / 1024.0),
    }
}

/// Returns a time in seconds for people.
fn time(seconds: f64) -> String {
    match seconds {
        short if short < 0.000_95 => format!("{:.0} µs", short * 1e6),
        short if short < 0.009_5 => format!("{:.1} ms", short * 1e3),
        some if some < 0.95 => format!("{:.0} ms", some * 1e3),
        long => format!("{long:.1} s"),
    }
}

#[cfg(test)]
mod tests;
