//! The configuration file: parsed, checked, with every mistake named by path and line.
