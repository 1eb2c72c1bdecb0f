//! Half-open spans of text and what can be asked of them.

use std::cmp::{max, min};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        assert!(start <= end, "a span cannot end before it starts");
        Span { start, end }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn contains(&self, offset: usize) -> bool {
        self.start <= offset && offset < self.end
    }

    /// The part that both spans cover, if there is one.
    pub fn intersection(&self, other: &Span) -> Option<Span> {
        let start = max(self.start, other.start);
        let end = min(self.end, other.end);
        if start < end {
            Some(Span::new(start, end))
        } else {
            None
        }
    }

    /// The smallest span that covers both.
    pub fn union(&self, other: &Span) -> Span {
        Span::new(min(self.start, other.start), max(self.end, other.end))
    }
}

/// Joins spans that touch or overlap; the result is sorted.
pub fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => *last = last.union(&span),
            _ => merged.push(span),
        }
    }
    merged
}
