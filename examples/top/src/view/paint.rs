//! Writing text and bars into cells.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

/// Writes a line from left to right, and never beyond its end.
pub(super) struct Pen<'a> {
    buffer: &'a mut Buffer,
    x: u16,
    end: u16,
    /// `None` if the area has no such row.
    y: Option<u16>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(area: Rect, row: usize, buffer: &'a mut Buffer) -> Self {
        let row = u16::try_from(row).ok().filter(|row| *row < area.height);
        Self { buffer, x: area.x, end: area.right(), y: row.map(|row| area.y + row) }
    }

    pub(super) fn write(&mut self, text: &str, style: Style) {
        let Some(y) = self.y else { return };
        let room = self.end.saturating_sub(self.x);
        let fits = text.chars().count() <= room.into();
        (self.x, _) = self.buffer.set_stringn(self.x, y, text, room.into(), style);
        if !fits && let Some(last) = self.end.checked_sub(1).and_then(|x| self.buffer.cell_mut((x, y))) {
            last.set_char('…');
        }
    }

    /// Writes at the end of the line, if there is room behind what has been written.
    pub(super) fn write_right(&mut self, text: &str, style: Style) {
        let width = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        if let Some(x) = self.end.checked_sub(width).filter(|x| *x >= self.x) {
            self.x = x;
            self.write(text, style);
        }
    }

    /// Writes a bar as long as its share of `width` cells, to an eighth of a cell, and leaves all of them behind.
    pub(super) fn bar(&mut self, share: f64, width: u16, color: Color) {
        let after = self.x.saturating_add(width).min(self.end);
        let eighths = (share.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        bar.extend(LEFT.get(eighths % 8).filter(|part| **part != ' '));
        let room = after.saturating_sub(self.x);
        if let Some(y) = self.y {
            self.buffer.set_stringn(self.x, y, bar, room.into(), Style::new().fg(color));
        }
        self.x = after;
    }

    /// Moves on to a column, counted from the left of the area.
    pub(super) fn skip(&mut self, cells: u16) {
        self.x = self.x.saturating_add(cells).min(self.end);
    }
}

/// Draws a column that grows upwards, as high as its share of the area, to an eighth of a cell.
pub(super) fn column(area: Rect, share: f64, color: Color, buffer: &mut Buffer) {
    let eighths = (share.clamp(0.0, 1.0) * f64::from(area.height) * 8.0).ceil() as u16;
    for row in 0..area.height {
        let part = eighths.saturating_sub(row * 8).min(8);
        let Some(symbol) = BELOW.get(usize::from(part)).filter(|symbol| **symbol != ' ') else { continue };
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, area.bottom() - 1 - row)) {
                cell.set_char(*symbol).set_fg(color);
            }
        }
    }
}

/// Returns a number with spaces between thousands.
pub(super) fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

const LEFT: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const BELOW: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use super::*;

    fn row(buffer: &Buffer, y: u16) -> String {
        (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect()
    }

    #[test]
    fn text_ends_at_the_edge() {
        let area = Rect::new(0, 0, 6, 1);
        let mut buffer = Buffer::empty(area);

        let mut pen = Pen::new(area, 0, &mut buffer);
        pen.write("ab", Style::new());
        pen.write("cdefgh", Style::new());
        pen.write_right("z", Style::new());

        assert_eq!(row(&buffer, 0), "abcde…");
    }

    #[test]
    fn rows_beyond_the_area_are_not_written() {
        let area = Rect::new(0, 0, 4, 1);
        let mut buffer = Buffer::empty(area);

        Pen::new(area, 1, &mut buffer).write("abc", Style::new());
        Pen::new(area, 0, &mut buffer).write_right("z", Style::new());

        assert_eq!(row(&buffer, 0), "   z");
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        let area = Rect::new(0, 0, 6, 1);
        let mut buffer = Buffer::empty(area);

        let mut pen = Pen::new(area, 0, &mut buffer);
        pen.bar(0.625, 4, Color::Red);
        pen.write("x", Style::new());

        assert_eq!(row(&buffer, 0), "██▌ x ");
    }

    #[test]
    fn columns_are_as_high_as_their_share() {
        let area = Rect::new(0, 0, 1, 3);
        let mut buffer = Buffer::empty(area);

        column(area, 0.5, Color::Red, &mut buffer);

        assert_eq!([row(&buffer, 0), row(&buffer, 1), row(&buffer, 2)], [" ", "▄", "█"]);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(count(7.4), "7");
        assert_eq!(count(1234.0), "1 234");
        assert_eq!(count(1_234_567.0), "1 234 567");
        assert_eq!(count(-1.0), "0");
    }
}
