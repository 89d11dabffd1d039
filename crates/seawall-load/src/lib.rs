//! Open-loop load over real sockets, upstreams that fail on a time line, and one report.
