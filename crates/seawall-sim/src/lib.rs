//! Scenarios in virtual time: the same pipelines, no sockets.
