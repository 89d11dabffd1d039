//! The value of a plain scalar, by the core schema of YAML 1.2 (section 10.3.2), where `no` is a string.

use crate::tree::Value;
use granit_parser::{ScalarStyle, Tag};

/// The value of a scalar, or what is wrong with it.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => plain(text),
            _ => Ok(Value::String(text.to_owned())),
        };
    };
    match tag.core_suffix() {
        Some("str") => Ok(Value::String(text.to_owned())),
        Some(name @ ("null" | "bool" | "int" | "float")) => tagged(text, name),
        None if is_lone(tag) => Ok(Value::String(text.to_owned())),
        _ => Err(unknown_tag()),
    }
}

/// The lone `!`, which says that the kind is not to be guessed at.
pub(super) fn is_lone(tag: &Tag) -> bool {
    tag.original() == "!"
}

/// Tags for types of the reader's own have no meaning in a configuration file.
pub(super) fn unknown_tag() -> String {
    "tags other than YAML's own are not supported".to_owned()
}

fn tagged(text: &str, name: &str) -> Result<Value, String> {
    match (name, plain(text)?) {
        ("null", value @ Value::Null)
        | ("bool", value @ Value::Bool(_))
        | ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_)) => Ok(value),
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        _ => Err(format!("the value does not fit its tag `!!{name}`")),
    }
}

fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return number(text).unwrap_or_else(|| Ok(Value::String(text.to_owned()))),
    })
}

/// None if the text is no number at all.
fn number(text: &str) -> Option<Result<Value, String>> {
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Err("numbers here are finite".to_owned()));
    }
    if all_digits(unsigned) {
        return Some(text.parse().map_or_else(|_| float(text), |value| Ok(Value::Int(value))));
    }
    is_float(unsigned).then(|| float(text))
}

fn based(digits: &str, base: u32) -> Option<Result<Value, String>> {
    let fits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    fits.then(|| {
        i128::from_str_radix(digits, base)
            .map(Value::Int)
            .map_err(|_| "the number is too large".to_owned())
    })
}

fn float(text: &str) -> Result<Value, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Value::Float(value)),
        _ => Err("the number is too large".to_owned()),
    }
}

/// `[0-9]+(\.[0-9]*)?` or `\.[0-9]+`, then an optional exponent.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = mantissa.bytes().any(|b| b.is_ascii_digit())
        && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    let exponent_fits =
        exponent.is_none_or(|text| all_digits(text.strip_prefix(['-', '+']).unwrap_or(text)));
    mantissa_fits && exponent_fits
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
