//! Tables as CSV.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};

/// A table that a spreadsheet opens.
pub(crate) fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Response {
    let mut text = header.join(",") + "\r\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell_of(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    (kind, Body::from(text)).into_response()
}

/// A cell in quotes where it needs them; a spreadsheet takes none for a formula.
fn cell_of(text: &str) -> String {
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
            assert_eq!(cell_of(text), expected);
        }
    }
}
