//! Instants in few bits.

use crate::Instant;

/// The ends of open times are counted in 2¹⁶ ns, 66 µs.
pub(super) const OPEN_SHIFT: u32 = 16;
/// The ends of leases and of ramps are counted in 2²⁶ ns, 67 ms.
pub(super) const LEASE_SHIFT: u32 = 26;

/// An instant in units of 2^`shift` ns, rounded up so that nothing happens early, in `bits` bits.
#[inline]
pub(super) fn units(at: Instant, shift: u32, bits: u32) -> u64 {
    at.as_nanos().div_ceil(1 << shift).min((1 << bits) - 1)
}
