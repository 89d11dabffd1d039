//! Tables: pages of them, and their form as CSV.

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// The format of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TableFormat {
    /// A JSON document.
    #[default]
    Json,
    /// A table that a spreadsheet opens.
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TableParameters {
    /// The format of the answer: `json` or `csv`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    pub(crate) format: TableFormat,
}

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

/// The first `limit` items, and whether there are more.
pub(crate) fn page<T>(mut items: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
    let first = items.by_ref().take(limit).collect();
    (first, items.next().is_some())
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
