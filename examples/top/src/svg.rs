//! A picture that moves, made of what was on the screen: SVG with the animation that browsers play in an `<img>`.
//!
//! Each row is cut into pieces. A piece that looks the same for a while, or at several times, is written once, with the times at which
//! it is to be seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// What was on the screen at one time.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) at: Duration,
    pub(crate) buffer: Buffer,
}

/// Returns the text of an SVG that shows one shot after the other, for ever. All are of one size; `length` is that of one round.
pub(crate) fn render(shots: &[Shot], length: Duration) -> String {
    let area = shots.first().map(|shot| shot.buffer.area).unwrap_or_default();
    let (width, height) = (u32::from(area.width) * CELL_WIDTH, u32::from(area.height) * CELL_HEIGHT);
    let (mut style, mut body) = (String::new(), String::new());
    for (number, (shown, content)) in layers(shots).into_iter().enumerate() {
        if shown.iter().all(|shown| *shown) {
            body += &content;
        } else {
            style += &animation(number, &shown, shots, length);
            // Writing to a string cannot fail.
            let _ = write!(body, "<g class=\"t{number}\">\n{content}</g>\n");
        }
    }
    let head = head(width + 2 * MARGIN, height + 2 * MARGIN + BAR, &style);
    format!("{head}{body}</g></svg>\n")
}

fn head(width: u32, height: u32, style: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-size=\"13.3\" font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\">\n<style>\n"
    );
    for (name, color) in CLASSES {
        let _ = write!(svg, ".{name}{{fill:{color}}}");
    }
    let _ = write!(
        svg,
        ".b{{font-weight:bold}}.f{{fill:none;stroke:#30363d}}\n{style}</style>\n<rect width=\"{width}\" height=\"{height}\" rx=\"9\" fill=\"#0d1117\"/>\n"
    );
    for (index, color) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        let _ = write!(svg, "<circle cx=\"{}\" cy=\"17\" r=\"5.5\" fill=\"{color}\"/>", 20 + 20 * index);
    }
    let _ = write!(svg, "\n<g transform=\"translate({MARGIN} {})\">\n", MARGIN + BAR);
    svg
}

/// Returns what is seen at the same times, for each set of such times: for each shot whether it is.
fn layers(shots: &[Shot]) -> BTreeMap<Vec<bool>, String> {
    let mut layers = BTreeMap::<_, String>::new();
    for (content, shown) in pieces(shots) {
        *layers.entry(shown).or_default() += &content;
    }
    layers
}

/// Returns each piece that is ever seen, and for each shot whether it is.
fn pieces(shots: &[Shot]) -> Vec<(String, Vec<bool>)> {
    let mut found = BTreeMap::new();
    for (index, shot) in shots.iter().enumerate() {
        for y in 0..shot.buffer.area.height {
            for (part, content) in
                row(&shot.buffer, y).into_iter().enumerate().filter(|(_, piece)| !piece.is_empty())
            {
                let shown = found.entry((y, part, content)).or_insert_with(|| vec![false; shots.len()]);
                if let Some(place) = shown.get_mut(index) {
                    *place = true;
                }
            }
        }
    }
    found.into_iter().map(|((_, _, content), shown)| (content, shown)).collect()
}

/// Returns the pieces of a row: its frames, and what is in each half.
fn row(buffer: &Buffer, y: u16) -> [String; 3] {
    let middle = buffer.area.width / 2;
    [frames(buffer, y), half(buffer, y, 0..middle), half(buffer, y, middle..buffer.area.width)]
}

fn frames(buffer: &Buffer, y: u16) -> String {
    let mut path = String::new();
    let mut line_from = None;
    for x in 0..=buffer.area.width {
        let symbol = buffer.cell((x, y)).map_or(" ", Cell::symbol);
        if symbol == "─" {
            line_from = line_from.or(Some(x));
            continue;
        }
        let (left, top) = corner(x, y);
        let (middle, center) = (left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2);
        if let Some(from) = line_from.take() {
            let _ = write!(path, "M{} {center}H{left}", corner(from, y).0);
        }
        let (right, bottom) = (left + CELL_WIDTH, top + CELL_HEIGHT);
        let _ = match symbol {
            "│" => write!(path, "M{middle} {top}V{bottom}"),
            "╭" => write!(path, "M{middle} {bottom}Q{middle} {center} {right} {center}"),
            "╮" => write!(path, "M{left} {center}Q{middle} {center} {middle} {bottom}"),
            "╰" => write!(path, "M{middle} {top}Q{middle} {center} {right} {center}"),
            "╯" => write!(path, "M{left} {center}Q{middle} {center} {middle} {top}"),
            _ => Ok(()),
        };
    }
    if path.is_empty() { path } else { format!("<path class=\"f\" d=\"{path}\"/>\n") }
}

/// Cells beside each other that are written in one.
struct Run {
    from: u16,
    cells: u16,
    look: Look,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    color: Color,
    background: Color,
    is_bold: bool,
    /// Blocks are drawn as rectangles, so that no font leaves gaps between them.
    is_block: bool,
}

fn half(buffer: &Buffer, y: u16, columns: std::ops::Range<u16>) -> String {
    let mut runs: Vec<Run> = Vec::new();
    for x in columns {
        let Some(cell) = buffer.cell((x, y)) else { continue };
        let symbol = cell.symbol();
        let look = Look {
            color: cell.fg,
            background: cell.bg,
            is_bold: cell.modifier.contains(Modifier::BOLD),
            is_block: block(symbol).is_some(),
        };
        let symbol = if FRAME.contains(symbol) { " " } else { symbol };
        match runs.last_mut() {
            Some(run) if run.from + run.cells == x && (run.look == look || is_blank(symbol, look, run)) => {
                run.cells += 1;
                run.text += symbol;
            }
            _ => runs.push(Run { from: x, cells: 1, look, text: symbol.to_owned() }),
        }
    }
    runs.iter().map(|run| if run.look.is_block { blocks(run, y) } else { text(run, y) }).collect()
}

/// Whether a space can be written in any colour of text.
fn is_blank(symbol: &str, look: Look, run: &Run) -> bool {
    symbol == " "
        && !run.look.is_block
        && run.look.background == look.background
        && run.look.background == Color::Reset
}

fn text(run: &Run, y: u16) -> String {
    let mut svg = String::new();
    let (left, top) = corner(run.from, y);
    if run.look.background != Color::Reset {
        let (class, width) = (class(run.look.background), u32::from(run.cells) * CELL_WIDTH);
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{left} {top}h{width}v{CELL_HEIGHT}h-{width}z\"/>");
    }
    let trimmed = run.text.trim_start();
    let indent = run.text.chars().count() - trimmed.chars().count();
    let trimmed = trimmed.trim_end();
    if trimmed.is_empty() {
        return svg;
    }
    let cells = trimmed.chars().count() as u32;
    let (x, baseline) = (left + indent as u32 * CELL_WIDTH, top + CELL_HEIGHT - 5);
    let bold = if run.look.is_bold { " b" } else { "" };
    let _ = write!(svg, "<text class=\"{}{bold}\" x=\"{x}\" y=\"{baseline}\"", class(run.look.color));
    if cells > 2 {
        // Whatever font there is, columns stay below each other.
        let _ = write!(svg, " textLength=\"{}\"", cells * CELL_WIDTH);
    }
    let _ = writeln!(svg, ">{}</text>", escaped(trimmed));
    svg
}

fn blocks(run: &Run, y: u16) -> String {
    let mut path = String::new();
    let symbols: Vec<_> = run.text.chars().collect();
    let mut at = run.from;
    for same in symbols.chunk_by(|one, other| one == other && !is_left(*one)) {
        let cells = same.len() as u16;
        let symbol = same.first().map(char::to_string).unwrap_or_default();
        if let Some((width, height)) = block(&symbol) {
            let (left, top) = corner(at, y);
            let (wide, high) =
                (f64::from(cells) * width * f64::from(CELL_WIDTH), height * f64::from(CELL_HEIGHT));
            let top = f64::from(top + CELL_HEIGHT) - high;
            let _ = write!(path, "M{left} {}h{}v{}h-{}z", short(top), short(wide), short(high), short(wide));
        }
        at += cells;
    }
    format!("<path class=\"{}\" d=\"{path}\"/>\n", class(run.look.color))
}

/// Returns the share of a cell's width and height that a block takes.
fn block(symbol: &str) -> Option<(f64, f64)> {
    let mut chars = symbol.chars();
    let (symbol, None) = (chars.next()?, chars.next()) else { return None };
    match u32::from(symbol) {
        low @ 0x2581..=0x2588 => Some((1.0, f64::from(low - 0x2580) / 8.0)),
        left @ 0x2589..=0x258F => Some((f64::from(0x2590 - left) / 8.0, 1.0)),
        _ => None,
    }
}

fn is_left(symbol: char) -> bool {
    (0x2589..=0x258F).contains(&u32::from(symbol))
}

/// Says when a layer is to be seen. What does not play the animation shows a time when much is to be seen.
fn animation(number: usize, shown: &[bool], shots: &[Shot], length: Duration) -> String {
    let visibility = |shown: bool| if shown { "visible" } else { "hidden" };
    let poster = shown.get(shots.len() / 4).copied().unwrap_or_default();
    let mut style = format!(
        ".t{number}{{visibility:{};animation:t{number} {}s step-end infinite}}@keyframes t{number}{{",
        visibility(poster),
        short(length.as_secs_f64())
    );
    let mut before = None;
    for (index, (shown, shot)) in shown.iter().zip(shots).enumerate() {
        if before != Some(shown) {
            let percent = if index == 0 { 0.0 } else { 100.0 * shot.at.as_secs_f64() / length.as_secs_f64() };
            let _ = write!(style, "{}%{{visibility:{}}}", short(percent), visibility(*shown));
        }
        before = Some(shown);
    }
    style + "}\n"
}

/// Returns where a cell begins.
fn corner(x: u16, y: u16) -> (u32, u32) {
    (u32::from(x) * CELL_WIDTH, u32::from(y) * CELL_HEIGHT)
}

fn class(color: Color) -> &'static str {
    CLASSES.iter().zip(COLORS).find(|(_, known)| *known == color).map_or("n", |((name, _), _)| *name)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const CELL_WIDTH: u32 = 8;
const CELL_HEIGHT: u32 = 17;
const MARGIN: u32 = 12;
const BAR: u32 = 22;
const FRAME: &str = "─│╭╮╰╯";

/// `n` is for text without a colour of its own.
const CLASSES: [(&str, &str); 11] = [
    ("n", "#c9d1d9"),
    ("k", "#0d1117"),
    ("w", "#f0f6fc"),
    ("d", "#7d8590"),
    ("r", "#ff7b72"),
    ("g", "#3fb950"),
    ("y", "#d29922"),
    ("u", "#58a6ff"),
    ("m", "#bc8cff"),
    ("c", "#39c5cf"),
    ("o", "#ffa198"),
];
const COLORS: [Color; 11] = [
    Color::Reset,
    Color::Black,
    Color::White,
    Color::DarkGray,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::LightRed,
];

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn shot(seconds: u64, lines: [&str; 2]) -> Shot {
        Shot { at: Duration::from_secs(seconds), buffer: Buffer::with_lines(lines) }
    }

    #[test]
    fn what_stays_is_written_once_and_is_not_animated() {
        let shots = [shot(0, ["same", "a"]), shot(1, ["same", "b"]), shot(2, ["same", "a"])];

        let svg = render(&shots, Duration::from_secs(4));

        assert_eq!(svg.matches(">me</text>").count(), 1, "{svg}");
        assert_eq!(svg.matches("@keyframes").count(), 2);
        assert!(
            svg.contains("{0%{visibility:visible}25%{visibility:hidden}50%{visibility:visible}}"),
            "{svg}"
        );
        assert!(
            svg.contains("{0%{visibility:hidden}25%{visibility:visible}50%{visibility:hidden}}"),
            "{svg}"
        );
    }

    #[test]
    fn text_is_escaped_and_as_wide_as_its_cells() {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 20, 1));
        buffer.set_string(1, 0, "a<b&c", Style::new().fg(Color::Red));

        let piece = half(&buffer, 0, 0..20);

        assert_eq!(piece, "<text class=\"r\" x=\"8\" y=\"12\" textLength=\"40\">a&lt;b&amp;c</text>\n");
    }

    #[test]
    fn blocks_are_rectangles() {
        let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 4, 1));
        buffer.set_string(0, 0, "██▌", Style::new().fg(Color::Green));

        assert_eq!(half(&buffer, 0, 0..4), "<path class=\"g\" d=\"M0 0h16v17h-16zM16 0h4v17h-4z\"/>\n");
    }

    #[test]
    fn frames_are_lines() {
        let buffer = Buffer::with_lines(["╭──╮"]);

        assert_eq!(frames(&buffer, 0), "<path class=\"f\" d=\"M4 17Q4 8 8 8M8 8H24M24 8Q28 8 28 17\"/>\n");
        assert_eq!(half(&buffer, 0, 0..4), "");
    }
}
