//! Tables as CSV.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};

/// A column: its name, and the text of a row's cell.
pub(crate) type Column<T> = (&'static str, fn(&T) -> String);

/// A table that a spreadsheet opens.
pub(crate) fn csv<'r, T: 'r>(
    columns: &[Column<T>],
    rows: impl IntoIterator<Item = &'r T>,
) -> Response {
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let mut text = line(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
    for row in rows {
        text += &line(columns.iter().map(|(_, cell)| quoted(&cell(row))).collect());
    }
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    (kind, Body::from(text)).into_response()
}

/// A cell in quotes where it needs them; a spreadsheet takes none for a formula.
fn quoted(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("-5.5", "-5.5"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
