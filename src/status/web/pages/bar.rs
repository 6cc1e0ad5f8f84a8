//! Thin bars, drawn as SVG because the pages allow no inline styles.

use std::time::Duration;

/// How much of a bar is filled, in percent of its width.
pub fn percent(part: Duration, whole: Duration) -> u8 {
    if whole.is_zero() {
        return 0;
    }
    // At least a sliver of what took any time at all.
    (part.as_secs_f64() / whole.as_secs_f64() * 100.0).clamp(1.0, 100.0) as u8
}
