//! The gateway, its control API and its dashboard.
