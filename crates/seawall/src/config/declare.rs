//! The macro that configurations are declared with.

/// Declares a configuration: an enum, or a struct whose fields are stated once each.
///
/// ```ignore
/// config! {
///     /// How calls are asked again.
///     #[check(Self::check_waits)]                 // a method that compares fields; may be left out
///     pub struct Example {
///         /// Attempts in all.
///         #[range(1..=100)]                       // or 0.5..1.0, over 0.0..=1.0, positive, positive..=days(30)
///         #[right = "a small number"]             // what a problem says in place of the range; may be left out
///         attempts: u32 = 3,
///         /// The wait between attempts.
///         #[nested]                               // a configuration that is checked along with this one
///         backoff: Backoff = Backoff::default(),
///     }
/// }
/// ```
///
/// Each field is public, and has a setter of its name that takes the configuration and gives it back; that of an
/// `Option<T>` takes a `T` as well. A `Duration` is read and written as text with units. The ranges are checked by
/// [`Check`](crate::config::Check), and are part of the JSON Schema.
macro_rules! config {
    ($(#[$meta:meta])* pub enum $name:ident { $($variants:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $($variants)* }
    };

    ($(#[doc = $doc:literal])* $(#[check($compare:expr)])? pub struct $name:ident { $($fields:tt)* }) => {
        $crate::config::config! {
            @fields { [$(#[doc = $doc])*] [$($compare)?] $name this problems } {} $($fields)*
        }
    };

    // What stands before a field's type: its meaning, and how it is checked.
    (
        @fields $head:tt $done:tt
        $(#[doc = $doc:literal])* #[range($($range:tt)+)] $(#[right = $right:literal])? $field:ident: $($rest:tt)+
    ) => {
        $crate::config::config! {
            @type $head $done { [$(#[doc = $doc])*] $field range [$($range)+] [$($right)?] } $($rest)+
        }
    };
    (@fields $head:tt $done:tt $(#[doc = $doc:literal])* #[nested] $field:ident: $($rest:tt)+) => {
        $crate::config::config! { @type $head $done { [$(#[doc = $doc])*] $field nested } $($rest)+ }
    };
    (@fields $head:tt $done:tt $(#[doc = $doc:literal])* $field:ident: $($rest:tt)+) => {
        $crate::config::config! { @type $head $done { [$(#[doc = $doc])*] $field } $($rest)+ }
    };

    // Its type and its default.
    (@type $head:tt $done:tt $field:tt Duration = $default:expr, $($rest:tt)*) => {
        $crate::config::config! {
            @check $head $done $field {
                #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
                #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
            } [Duration] { Duration, Duration, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt Option<Duration> = $default:expr, $($rest:tt)*) => {
        $crate::config::config! {
            @check $head $done $field {
                #[cfg_attr(feature = "serde", serde(with = "crate::config::duration::option"))]
                #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::option::schema"))]
            } [Duration] { Option<Duration>, impl Into<Option<Duration>>, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt Option<$value:ty> = $default:expr, $($rest:tt)*) => {
        $crate::config::config! {
            @check $head $done $field {} [$value]
            { Option<$value>, impl Into<Option<$value>>, $default } $($rest)*
        }
    };
    (@type $head:tt $done:tt $field:tt $value:ty = $default:expr, $($rest:tt)*) => {
        $crate::config::config! {
            @check $head $done $field {} [$value] { $value, $value, $default } $($rest)*
        }
    };

    // Its check, and its range in the schema.
    (
        @check { $doc:tt $compare:tt $name:ident $this:ident $problems:ident } { $($done:tt)* }
        { [$($field_doc:tt)*] $field:ident range [$($range:tt)+] [$($right:literal)?] }
        { $($attributes:tt)* } [$value:ty] $type:tt $($rest:tt)*
    ) => {
        $crate::config::config! {
            @fields { $doc $compare $name $this $problems }
            {
                $($done)*
                {
                    [
                        $($field_doc)* $($attributes)*
                        #[cfg_attr(doc, doc = concat!("\n\nRange: `", stringify!($($range)+), "`."))]
                        #[cfg_attr(feature = "schema", schemars(transform =
                            crate::config::schema::<$value>(crate::config::bounds!($($range)+))))]
                    ]
                    [
                        $($field_doc)*
                        #[cfg_attr(doc, doc = concat!("\n\nRange: `", stringify!($($range)+), "`."))]
                    ]
                    $field $type
                    [{
                        let range = $crate::config::bounds!($($range)+);
                        let right = None$(.or(Some($right)))?;
                        $problems.hold::<$value>(stringify!($field), $this.$field, range, right);
                    }]
                }
            }
            $($rest)*
        }
    };
    (
        @check { $doc:tt $compare:tt $name:ident $this:ident $problems:ident } { $($done:tt)* }
        { [$($field_doc:tt)*] $field:ident nested } { $($attributes:tt)* } $value:tt $type:tt $($rest:tt)*
    ) => {
        $crate::config::config! {
            @fields { $doc $compare $name $this $problems }
            {
                $($done)*
                {
                    [$($field_doc)* $($attributes)*] [$($field_doc)*] $field $type
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
        { [$($doc:tt)*] $field:ident } { $($attributes:tt)* } $value:tt $type:tt $($rest:tt)*
    ) => {
        $crate::config::config! {
            @fields $head
            { $($done)* { [$($doc)* $($attributes)*] [$($doc)*] $field $type [] } }
            $($rest)*
        }
    };

    // All fields are known.
    (
        @fields { [$($doc:tt)*] [$($compare:expr)?] $name:ident $this:ident $problems:ident }
        {
            $({
                [$($attributes:tt)*] [$($field_doc:tt)*] $field:ident
                { $type:ty, $argument:ty, $default:expr } [$($check:tt)*]
            })*
        }
    ) => {
        $($doc)*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name { $($($attributes)* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            $(
                $($field_doc)*
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
}
pub(crate) use config;
