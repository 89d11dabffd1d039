//! Resilience policies, pipelines and the registry: no runtime, no I/O.
