//! What happened in a run: events that people read, and digests by which two runs can be compared and bisected.

use std::sync::Arc;

/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;

/// A fixed 64-bit hash, the same in every build and process; not for adversaries.
#[derive(Debug, Clone)]
pub struct Fold(u64);

impl Default for Fold {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fold {
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    /// The bytes and their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    pub fn value(&self) -> u64 {
        let z = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 29)
    }
}

/// Digests over all packets and log entries of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    /// Over the whole run.
    pub total: u64,
    /// For each virtual second in which something happened, the digest over all up to its end: the first second that
    /// differs between two runs is where they part.
    pub seconds: Vec<(u64, u64)>,
}

impl Digest {
    /// The first virtual second in which two runs differ.
    pub fn first_difference(&self, other: &Self) -> Option<u64> {
        let parted = self.seconds.iter().zip(&other.seconds).find(|(a, b)| a != b);
        match parted {
            Some((a, b)) => Some(a.0.min(b.0)),
            None if self.seconds.len() == other.seconds.len() => None,
            None => {
                let shorter = self.seconds.len().min(other.seconds.len());
                let longer = if self.seconds.len() > shorter { self } else { other };
                longer.seconds.get(shorter).map(|second| second.0)
            }
        }
    }
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Virtual microseconds since the start of the run.
    pub at_us: u64,
    /// The host's name; empty for the network.
    pub host: Arc<str>,
    pub text: String,
}

/// An append-only history with its digest.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    fold: Fold,
    second: u64,
    touched: bool,
    seconds: Vec<(u64, u64)>,
}

impl Log {
    /// Appends an event.
    pub fn push(&mut self, at_us: u64, host: Arc<str>, text: String) {
        let fold = self.at(at_us);
        fold.word(at_us);
        fold.bytes(host.as_bytes());
        fold.bytes(text.as_bytes());
        self.entries.push(Entry { at_us, host, text });
    }

    /// The running digest, for something that happens now and is only counted, as packets are.
    pub fn at(&mut self, at_us: u64) -> &mut Fold {
        let second = at_us / SECOND_US;
        if second > self.second {
            self.close_second();
            self.second = second;
        }
        self.touched = true;
        &mut self.fold
    }

    /// The digest so far.
    pub fn digest(&self) -> Digest {
        let mut seconds = self.seconds.clone();
        if self.touched {
            seconds.push((self.second, self.fold.value()));
        }
        Digest { total: self.fold.value(), seconds }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    fn close_second(&mut self) {
        if std::mem::take(&mut self.touched) {
            self.seconds.push((self.second, self.fold.value()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[(u64, &str)]) -> Digest {
        let mut log = Log::default();
        for (at, text) in events {
            log.push(*at, Arc::from("a"), (*text).to_owned());
        }
        log.digest()
    }

    #[test]
    fn two_runs_part_at_the_first_second_that_differs() {
        let one = log(&[(0, "x"), (2_500_000, "y"), (7_000_000, "z")]);
        let other = log(&[(0, "x"), (2_600_000, "y"), (7_000_000, "z")]);
        assert_eq!(one.first_difference(&one), None);
        assert_eq!(one.first_difference(&other), Some(2));
        assert_ne!(one.total, other.total);
        let shorter = log(&[(0, "x"), (2_500_000, "y")]);
        assert_eq!(one.first_difference(&shorter), Some(7));
    }

    #[test]
    fn the_hash_is_fixed() {
        let mut fold = Fold::default();
        fold.bytes(b"outrigger");
        assert_eq!(fold.value(), 45_118_473_152_741_330, "measured once, the same ever after");
    }
}
