//! The guides for users of the library. Each page of `docs/guides` is one whole program, compiled and run as a
//! documentation test: `cargo test -p seawall-guides`.

#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guides/axum.md")]
    struct Axum;
    #[doc = include_str!("../../../docs/guides/hyper.md")]
    struct Hyper;
    #[doc = include_str!("../../../docs/guides/observing.md")]
    struct Observing;
    #[doc = include_str!("../../../docs/guides/reqwest.md")]
    struct Reqwest;
    #[doc = include_str!("../../../docs/guides/sqlx.md")]
    struct Sqlx;
    #[doc = include_str!("../../../docs/guides/tonic.md")]
    struct Tonic;
}
