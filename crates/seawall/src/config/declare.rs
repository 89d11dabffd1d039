//! The macro that configurations are declared with.

/// Declares a configuration: an enum, or a struct whose fields are stated once each.
///
/// ```
/// use seawall::config::{Check, Problems, days, secs};
/// use std::time::Duration;
///
/// seawall::configuration! {
///     /// How long a call may wait.
///     #[check(Self::check_order)] // may be left out: a method that compares fields
///     pub struct Waits {
///         /// The most calls that wait at once.
///         #[range(1..=100)] // or 0.5..1.0, over 0.0..=1.0, positive, positive..=days(30)
///         queued: u32 = 10,
///         /// How long a call waits before anybody is told.
///         patience: Option<Duration> = None,
///         /// How long a call waits at most.
///         #[range(positive..=days(1))]
///         #[right = "a time that somebody would wait"] // may be left out: what a problem says in place of the range
///         limit: Duration = secs(30),
///         /// How a call is repeated that waited too long.
///         #[nested] // a configuration that is checked along with this one
///         retry: Option<seawall::RetryConfig> = None,
///     }
/// }
///
/// impl Waits {
///     fn check_order(&self, problems: &mut Problems) {
///         let good = self.patience.is_none_or(|patience| patience < self.limit);
///         problems.require(good, "patience", self.patience, "less than limit");
///     }
/// }
///
/// let wrong = Waits::default().queued(0).patience(secs(60)).validate().unwrap_err();
/// let told = "queued: 0 is not a whole number from 1 to 100; patience: Some(60s) is not less than limit";
/// assert_eq!(wrong.to_string(), told);
/// ```
///
/// Each field is public, and has a setter of its name that takes the configuration and gives it back; that of an
/// `Option<T>` takes a `T` as well. [`Check`](crate::config::Check) holds the ranges, and they are part of the JSON
/// Schema. A `Duration` is read and written as text with units. Attributes of serde and schemars stand between the
/// documentation of a field and its range.
#[macro_export]
macro_rules! configuration {
    // Ranges as they are written above: Rust's, and those that begin above a value.
    (@range positive) => {
        (::std::ops::Bound::Excluded(::std::time::Duration::ZERO), ::std::ops::Bound::Unbounded)
    };
    (@range positive..=$high:expr) => {
        (::std::ops::Bound::Excluded(::std::time::Duration::ZERO), ::std::ops::Bound::Included($high))
    };
    (@range over $low:literal..=$high:expr) => {
        (::std::ops::Bound::Excluded($low), ::std::ops::Bound::Included($high))
    };
    (@range over $low:literal..$high:expr) => {
        (::std::ops::Bound::Excluded($low), ::std::ops::Bound::Excluded($high))
    };
    (@range $range:expr) => {
        $range
    };

    // What stands before a field's type: its meaning, and how it is checked.
    (
        @fields $head:tt $done:tt
        $(#[doc = $doc:literal])* $(#[serde $serde:tt])* $(#[schemars $schemars:tt])*
        #[range($($range:tt)+)] $(#[right = $right:literal])? $field:ident: $($rest:tt)+
    ) => {
        $crate::config::configuration! {
            @type $head $done
            { [$($doc)*] [$($serde)*] [$($schemars)*] $field range [$($range)+] [$($right)?] }
            $($rest)+
        }
    };
    (
        @fields $head:tt $done:tt
        $(#[doc = $doc:literal])* $(#[serde $serde:tt])* $(#[schemars $schemars:tt])*
        #[nested] $field:ident: $($rest:tt)+
    ) => {
        $crate::config::configuration! {
            @type $head $done { [$($doc)*] [$($serde)*] [$($schemars)*] $field nested } $($rest)+
        }
    };
    (
        @fields $head:tt $done:tt
        $(#[doc = $doc:literal])* $(#[serde $serde:tt])* $(#[schemars $schemars:tt])*
        $field:ident: $($rest:tt)+
    ) => {
        $crate::config::configuration! {
            @type $head $done { [$($doc)*] [$($serde)*] [$($schemars)*] $field } $($rest)+
        }
    };

    // Its type and its default.
    (@type $head:tt $done:tt $field:tt Duration = $default:expr, $($rest:tt)*) => {
        $crate::config::configuration! {
            @check $head $done $field
            [(with = "seawall::config::duration")]
            [(schema_with = "seawall::config::duration::schema")]
            [Duration] { Duration, Duration, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt Option<Duration> = $default:expr, $($rest:tt)*) => {
        $crate::config::configuration! {
            @check $head $done $field
            [(with = "seawall::config::duration::option")]
            [(schema_with = "seawall::config::duration::option::schema")]
            [Duration] { Option<Duration>, impl Into<Option<Duration>>, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt Option<$value:ty> = $default:expr, $($rest:tt)*) => {
        $crate::config::configuration! {
            @check $head $done $field [] []
            [$value] { Option<$value>, impl Into<Option<$value>>, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt $value:ty = $default:expr, $($rest:tt)*) => {
        $crate::config::configuration! {
            @check $head $done $field [] [] [$value] { $value, $value, $default } $($rest)*
        }
    };

    // Its check, and its range in the documentation and in the schema.
    (
        @check { $this:ident $problems:ident $($head:tt)* } { $($done:tt)* }
        {
            [$($doc:literal)*] [$($serde:tt)*] [$($schemars:tt)*]
            $field:ident range [$($range:tt)+] [$($right:literal)?]
        }
        [$($with:tt)*] [$($schema:tt)*] [$value:ty] $type:tt $($rest:tt)*
    ) => {
        $crate::config::configuration! {
            @fields { $this $problems $($head)* }
            {
                $($done)*
                {
                    [$($doc)*]
                    [(concat!("\n\nRange: `", stringify!($($range)+), "`."))]
                    [$($serde)* $($with)*]
                    [
                        $($schemars)* $($schema)*
                        (transform = $crate::config::schema::<$value>(
                            $crate::config::configuration!(@range $($range)+)
                        ))
                    ]
                    $field $type
                    [{
                        let range = $crate::config::configuration!(@range $($range)+);
                        let right = None$(.or(Some($right)))?;
                        $problems.hold::<$value>(stringify!($field), $this.$field, range, right);
                    }]
                }
            }
            $($rest)*
        }
    };
    (
        @check { $this:ident $problems:ident $($head:tt)* } { $($done:tt)* }
        { $doc:tt [$($serde:tt)*] [$($schemars:tt)*] $field:ident nested }
        [$($with:tt)*] [$($schema:tt)*] $value:tt $type:tt $($rest:tt)*
    ) => {
        $crate::config::configuration! {
            @fields { $this $problems $($head)* }
            {
                $($done)*
                {
                    $doc [] [$($serde)* $($with)*] [$($schemars)* $($schema)*] $field $type
                    [$problems.within(stringify!($field), |problems| {
                        $crate::config::Check::check(&$this.$field, problems);
                    });]
                }
            }
            $($rest)*
        }
    };
    (
        @check $head:tt { $($done:tt)* }
        { $doc:tt [$($serde:tt)*] [$($schemars:tt)*] $field:ident }
        [$($with:tt)*] [$($schema:tt)*] $value:tt $type:tt $($rest:tt)*
    ) => {
        $crate::config::configuration! {
            @fields $head
            {
                $($done)*
                { $doc [] [$($serde)* $($with)*] [$($schemars)* $($schema)*] $field $type [] }
            }
            $($rest)*
        }
    };

    // All fields are known.
    (
        @fields {
            $this:ident $problems:ident $with_serde:tt $with_schema:tt
            [$($doc:literal)*] [$($schemars:tt)*] [$($compare:expr)?] $name:ident
        }
        {
            $({
                [$($field_doc:literal)*] [$(($($range:tt)+))?] [$($field_serde:tt)*] [$($field_schema:tt)*]
                $field:ident { $type:ty, $argument:ty, $default:expr } [$($check:tt)*]
            })*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(all $with_serde, derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(all $with_serde, serde(default, deny_unknown_fields))]
        #[cfg_attr(all $with_schema, derive(schemars::JsonSchema))]
        $(#[cfg_attr(all $with_schema, schemars $schemars)])*
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                $(#[cfg_attr(doc, doc = $($range)+)])?
                $(#[cfg_attr(all $with_serde, serde $field_serde)])*
                $(#[cfg_attr(all $with_schema, schemars $field_schema)])*
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            $(
                $(#[doc = $field_doc])*
                $(#[cfg_attr(doc, doc = $($range)+)])?
                #[must_use]
                pub fn $field(mut self, $field: $argument) -> Self {
                    self.$field = $field.into();
                    self
                }
            )*
        }

        impl $crate::config::Check for $name {
            fn check(&self, $problems: &mut $crate::config::Problems) {
                let $this = self;
                $($($check)*)*
                $(($compare)($this, $problems);)?
            }
        }
    };

    // With which conditions the attributes of serde and schemars hold: in the core they are features.
    (@with $serde:tt $schema:tt $(#[$meta:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(all $serde, derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(all $serde, serde(rename_all = "snake_case"))]
        #[cfg_attr(all $schema, derive(schemars::JsonSchema))]
        pub enum $name { $($variants)* }
    };
    (
        @with $serde:tt $schema:tt
        $(#[doc = $doc:literal])* $(#[schemars $schemars:tt])* $(#[check($compare:expr)])?
        pub struct $name:ident { $($fields:tt)* }
    ) => {
        $crate::config::configuration! {
            @fields
            { this problems $serde $schema [$($doc)*] [$($schemars)*] [$($compare)?] $name }
            {}
            $($fields)*
        }
    };
    ($(#[$($meta:tt)+])* pub $($item:tt)+) => {
        $crate::config::configuration! { @with () () $(#[$($meta)+])* pub $($item)+ }
    };
}

/// Declares a configuration of the core, where serde and schemars are features.
macro_rules! config {
    ($($item:tt)+) => {
        $crate::config::configuration! { @with (feature = "serde") (feature = "schema") $($item)+ }
    };
}
pub(crate) use config;
pub use configuration;
