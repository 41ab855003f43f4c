//! Figures that must hold, against figures that a run yielded.

/// What a figure is compared with; both ends belong to a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Less(f64),
    AtMost(f64),
    More(f64),
    AtLeast(f64),
    Exactly(f64),
    Between(f64, f64),
}
