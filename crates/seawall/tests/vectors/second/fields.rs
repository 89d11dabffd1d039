//! Reading a case so that nothing in it is passed over, and noting what does not hold.

use serde_json::{Map, Value};
use std::{cell::RefCell, collections::BTreeSet, fmt, rc::Rc};

/// The fields of a case that have not been read yet.
pub(super) type Unread = Rc<RefCell<BTreeSet<String>>>;

/// The fields of one object. Each counts as unread until it is asked for.
pub(super) struct Fields<'a> {
    of: Option<&'a Map<String, Value>>,
    path: String,
    unread: Unread,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, path: &str, unread: &Unread) -> Self {
        let of = value.as_object().unwrap_or_else(|| panic!("{path} is no object: {value}"));
        let names = of.keys().map(|name| format!("{path}.{name}"));
        unread.borrow_mut().extend(names);
        Self { of: Some(of), path: path.to_owned(), unread: unread.clone() }
    }

    pub(super) fn empty(unread: &Unread) -> Self {
        Self { of: None, path: String::new(), unread: unread.clone() }
    }

    /// The field, without counting it as read.
    pub(super) fn peek(&self, name: &str) -> Option<&'a Value> {
        self.of?.get(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.unread.borrow_mut().remove(&format!("{}.{name}", self.path));
        self.peek(name)
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        Some(value.as_f64().unwrap_or_else(|| panic!("{name} is no number: {value}")))
    }

    pub(super) fn whole(&self, name: &str) -> Option<u32> {
        self.number(name).map(|number| number as u32)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        Some(value.as_str().unwrap_or_else(|| panic!("{name} is no text: {value}")))
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == true)
    }

    pub(super) fn nested(&self, name: &str) -> Option<Self> {
        Some(self.child(self.get(name)?, name))
    }

    /// The objects of a list.
    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        let list = self.get(name).and_then(Value::as_array).into_iter().flatten();
        list.enumerate().map(|(n, item)| self.child(item, &format!("{name}[{n}]"))).collect()
    }

    fn child(&self, value: &'a Value, name: &str) -> Self {
        Fields::new(value, &format!("{}.{name}", self.path), &self.unread)
    }
}

/// The first thing that does not hold.
pub(super) struct Wrong {
    step: usize,
    field: String,
    told: String,
}

impl Wrong {
    /// The step, from 0, and the field: `3 state`.
    pub(super) fn place(&self) -> String {
        format!("{} {}", self.step, self.field)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.told)
    }
}

/// Notes what does not hold.
#[derive(Default)]
pub(super) struct Log {
    step: usize,
    /// The step will be repeated: only what must hold each time is looked at.
    again: bool,
    /// The state that is expected is not the one before the step, so it need not hold before its end.
    entered: bool,
    wrong: Option<Wrong>,
}

impl Log {
    pub(super) fn begin(&mut self, step: usize, again: bool, entered: bool) {
        (self.step, self.again, self.entered) = (step, again, entered);
    }

    pub(super) fn first(self) -> Option<Wrong> {
        self.wrong
    }

    pub(super) fn differs(&mut self, field: &str, told: String) {
        if self.wrong.is_none() {
            self.wrong = Some(Wrong { step: self.step, field: field.to_owned(), told });
        }
    }

    /// Holds what was seen against what is expected, where this field is.
    pub(super) fn expect<T: Into<Value>>(
        &mut self,
        expected: &Fields<'_>,
        field: &str,
        seen: impl FnOnce() -> T,
    ) {
        let Some(wanted) = expected.get(field) else { return };
        let each_time = match field {
            "state" => !self.entered,
            "allowed" | "admitted" => true,
            _ => false,
        };
        if self.again && !each_time {
            return;
        }
        let seen = seen().into();
        if !same(wanted, &seen) {
            self.differs(field, format!("{seen}, not {wanted}"));
        }
    }
}

/// Equal; numbers up to what a float loses.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() < 1e-3,
            _ => one == other,
        },
    }
}
