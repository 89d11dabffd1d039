//! Schemas of the core's own types for the OpenAPI document, which takes JSON Schema as it is.

use schemars::{JsonSchema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// A type of another crate as what an endpoint answers, or as a part of it: its own JSON, with its own schema.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Described<T>(pub(crate) T);

impl<T: JsonSchema> PartialSchema for Described<T> {
    fn schema() -> RefOr<Schema> {
        described::<T>()
    }
}

impl<T: JsonSchema> ToSchema for Described<T> {
    fn name() -> Cow<'static, str> {
        T::schema_name()
    }
}

/// The schema of a type, with all that it refers to in its place: for `#[schema(schema_with = described::<T>)]`.
pub(crate) fn described<T: JsonSchema>() -> RefOr<Schema> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    // OpenAPI tools know a choice of one word, not a constant.
    let constants = RecursiveTransform(|schema: &mut schemars::Schema| {
        if let Some(word) = schema.remove("const") {
            schema.insert("enum".into(), vec![word].into());
        }
    });
    let schema = settings.with_transform(constants).into_generator().into_root_schema_for::<T>();
    // What cannot be described is left open: then a client may find anything there.
    serde_json::from_value(schema.to_value()).unwrap_or_else(|_| Schema::default().into())
}

/// Names for types that describe themselves by JSON Schema, under which the endpoints' descriptions have them as bodies of
/// requests and answers.
macro_rules! bodies {
    ($($name:ident = $type:ty,)*) => {$(
        pub(crate) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::schema::described::<$type>()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}
pub(crate) use bodies;

#[cfg(test)]
mod tests {
    use super::*;
    use seawall::{Counts, KeyedCounts, Mode, SharedCircuitView, State, Tally};
    use serde_json::{Value, json};

    #[test]
    fn the_cores_types_are_described_as_they_are() {
        let of = |schema: RefOr<Schema>| json!(schema);
        let counts = of(described::<Counts>());
        assert_eq!(counts["properties"]["total_calls"]["type"], "integer", "{counts}");
        assert_eq!(counts["properties"]["rejections"]["type"], "object", "{counts}");
        assert!(counts["required"].as_array().unwrap().contains(&"attempts".into()), "{counts}");
        for (schema, words) in [
            (of(described::<State>()), &["closed", "half_open", "forced_open", "disabled"][..]),
            (of(described::<Mode>()), &["enforce", "shadow", "off"][..]),
            (of(described::<Option<Tally>>()), &["failures", "null"][..]),
            (of(described::<Option<KeyedCounts>>()), &["not_closed", "null"][..]),
            (of(described::<Option<SharedCircuitView>>()), &["degraded", "probes", "null"][..]),
        ] {
            assert!(words.iter().all(|word| schema.to_string().contains(word)), "{schema}");
            assert_ne!(schema, Value::Null);
        }
    }
}
