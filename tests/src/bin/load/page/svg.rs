//! Plots as SVG, of two kinds: lines over a size, and dots with their spread on a logarithmic axis. They are written by hand
//! because two kinds of plot are a page of code, and a library for them is many crates.

use std::fmt::Write;

use crate::bench::record::Spread;

/// Colours that can be told apart by most people, also in grey.
const COLOURS: [&str; 4] = ["#0b63ce", "#d9730d", "#2f7d32", "#8e2f9e"];
const WIDTH: f64 = 760.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const GRID: &str = "#d8d8d8";

/// A line over a size, from left to right.
pub struct Line<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// A row of dots, one a series.
pub struct Row<'a> {
    pub name: &'a str,
    pub dots: Vec<Option<Spread>>,
}

/// Both axes begin at 0, so that what is flat looks flat.
pub fn lines(title: &str, size: &str, unit: &str, lines: &[Line<'_>]) -> String {
    const HEIGHT: f64 = 360.0;
    const BOTTOM: f64 = 52.0;
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let (right, top) = (
        ceiling(all().map(|point| point.0).fold(0.0, f64::max)),
        ceiling(all().map(|point| point.1).fold(0.0, f64::max)),
    );
    let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut plot = Drawing::new(title, HEIGHT);
    for step in 0..=STEPS {
        let (at_x, at_y) = (right * f64::from(step) / f64::from(STEPS), top * f64::from(step) / f64::from(STEPS));
        plot.rule((LEFT, y(at_y)), (WIDTH - RIGHT, y(at_y)));
        plot.text(LEFT - 8.0, y(at_y) + 4.0, "end", &short(at_y));
        plot.text(x(at_x), HEIGHT - BOTTOM + 18.0, "middle", &short(at_x));
    }
    plot.text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0, "middle", size);
    plot.text(8.0, TOP - 12.0, "start", unit);
    plot.legend(lines.iter().map(|line| line.name));
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> = line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        plot.add(&format!(r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, path.join(" ")));
        for (a, b) in &line.points {
            plot.dot(x(*a), y(*b), colour);
        }
    }
    plot.finish()
}

/// A row a thing, a dot a series, its least and most as a thin line. The axis is logarithmic: twice as much is as far
/// everywhere.
pub fn dots(title: &str, unit: &str, series: &[&str], rows: &[Row<'_>]) -> String {
    const ROW: f64 = 34.0;
    const NAMES: f64 = 230.0;
    let height = TOP + ROW * rows.len() as f64 + 44.0;
    let spreads = || rows.iter().flat_map(|row| row.dots.iter().flatten()).filter(|spread| spread.least > 0.0);
    let least = spreads().map(|spread| spread.least).fold(f64::INFINITY, f64::min);
    let most = spreads().map(|spread| spread.most).fold(0.0, f64::max);
    let (from, to) = if most > 0.0 { (least.log10().floor(), most.log10().ceil()) } else { (0.0, 1.0) };
    let to = to.max(from + 1.0);
    let x = |value: f64| NAMES + (value.log10() - from) / (to - from) * (WIDTH - NAMES - RIGHT);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut plot = Drawing::new(title, height);
    for power in from as i32..=to as i32 {
        let value = 10f64.powi(power);
        plot.rule((x(value), TOP), (x(value), bottom));
        plot.text(x(value), bottom + 18.0, "middle", &short(value));
    }
    plot.text((NAMES + WIDTH - RIGHT) / 2.0, height - 8.0, "middle", unit);
    plot.legend(series.iter().copied());
    for (number, row) in rows.iter().enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        plot.text(NAMES - 12.0, middle + 4.0, "end", row.name);
        for (number, spread) in row.dots.iter().enumerate() {
            let Some(spread) = spread.filter(|spread| spread.least > 0.0) else { continue };
            // Those of one row lie a little apart, or they would hide each other.
            let at = middle + (number as f64 - (row.dots.len() as f64 - 1.0) / 2.0) * 5.0;
            let colour = COLOURS[number % COLOURS.len()];
            plot.line((x(spread.least), at), (x(spread.most), at), colour, 1.5);
            plot.dot(x(spread.median), at, colour);
        }
    }
    plot.finish()
}

const STEPS: u8 = 5;

/// A round number that is no less than this one.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0]
        .iter()
        .map(|step| step * power)
        .find(|it| *it >= value)
        .unwrap_or(value)
}

/// A number beside an axis.
fn short(value: f64) -> String {
    let text = format!("{:.4}", if value >= 1000.0 { value / 1000.0 } else { value });
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value >= 1000.0 { format!("{text}k") } else { text.to_string() }
}

struct Drawing {
    text: String,
}

impl Drawing {
    fn new(title: &str, height: f64) -> Self {
        let title = escaped(title);
        let mut drawing = Drawing { text: String::new() };
        drawing.add(&format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}" font-family="sans-serif" font-size="12">"#
        ));
        // A page may be dark, and the words are not light.
        drawing.add(&format!(r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"##));
        drawing.add(&format!(r#"<text x="8" y="18" font-size="14" font-weight="bold">{title}</text>"#));
        drawing
    }

    fn add(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        self.add(&format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(text)));
    }

    fn rule(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(from, to, GRID, 1.0);
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((a, b), (c, d)) = (from, to);
        self.add(&format!(
            r#"<line x1="{a:.1}" y1="{b:.1}" x2="{c:.1}" y2="{d:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        ));
    }

    fn dot(&mut self, x: f64, y: f64, colour: &str) {
        self.add(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#));
    }

    fn legend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut x = 8.0;
        for (number, name) in names.enumerate() {
            self.dot(x + 4.0, 34.0, COLOURS[number % COLOURS.len()]);
            self.text(x + 14.0, 38.0, "start", name);
            x += 34.0 + name.chars().count() as f64 * 6.5;
        }
    }

    fn finish(mut self) -> String {
        let _ = writeln!(self.text, "</svg>");
        self.text
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_points_where_they_belong() {
        let plot = lines("a & b", "size", "µs", &[Line { name: "one", points: vec![(0.0, 0.0), (10.0, 2.0)] }]);
        assert!(plot.contains("a &amp; b") && plot.ends_with("</svg>\n"), "{plot}");
        // From the corner of both axes to the other one.
        assert!(plot.contains(r#"points="80.0,308.0 736.0,64.0""#), "{plot}");
        let spread = |median| Some(Spread { median, least: median, most: median });
        let row = Row { name: "row", dots: vec![spread(1.0), None, spread(10.0)] };
        let plot = dots("dots", "µs", &["a", "b", "c"], &[row]);
        assert!(plot.contains(r#"cx="230.0" cy="76.0""#) && plot.contains(r#"cx="736.0" cy="86.0""#), "{plot}");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 0.7, 1.0, 18_000.0, 51.0].map(ceiling), [1.0, 0.75, 1.0, 20_000.0, 75.0]);
        assert_eq!([0.0, 0.25, 1500.0, 20_000.0, 0.001].map(short), ["0", "0.25", "1.5k", "20k", "0.001"]);
    }
}
