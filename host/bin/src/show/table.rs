//! Columns. The last one is never padded, so lines end where their text does.

use super::{Style, clean};

/// Rows under headings.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&'static str]) -> Self {
        Table { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as `-`.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cell = |text: String| if text.is_empty() { "-".to_string() } else { clean(&text) };
        self.rows.push(cells.into_iter().map(Into::into).map(cell).collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines.
    pub fn render(&self, style: Style) -> String {
        let headings: Vec<String> = self.headings.iter().map(|heading| heading.to_string()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).chain(&headings[column..=column]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            padded.join("  ").trim_end().to_string()
        };
        let mut text = format!("{}\n", style.bold(&line(&headings)));
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", "N", "REST"]);
        assert!(table.is_empty());
        table.row(["ä", "1000", "x"]);
        table.row(["longer", "", "two\nlines"]);
        let expected = "NAME    N     REST\nä       1000  x\nlonger  -     two\\nlines\n";
        assert_eq!(table.render(Style::plain()), expected);
    }
}
