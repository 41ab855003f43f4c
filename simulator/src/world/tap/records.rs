//! How much plaintext there is in a stream of TLS records, from their headers alone.

/// Type, version, length (RFC 8446 §5.1).
const HEADER: usize = 5;
const APPLICATION_DATA: u8 = 23;
const HANDSHAKE: u8 = 22;
/// The content type and the tag of a record of TLS 1.3, which is what simulated clients speak.
const AROUND_PLAINTEXT: u64 = 17;

/// A place in a stream of records.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    header: [u8; HEADER],
    header_len: usize,
    left: usize,
}

impl Records {
    /// Whether a stream that begins so is TLS.
    pub(super) fn begin_with(bytes: &[u8]) -> bool {
        bytes.first() == Some(&HANDSHAKE)
    }

    /// Takes more of the stream; tells how much plaintext each record has that ends in it.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut tell: impl FnMut(u64)) {
        while !bytes.is_empty() {
            if self.header_len < HEADER {
                self.header[self.header_len] = bytes[0];
                self.header_len += 1;
                bytes = &bytes[1..];
                if self.header_len < HEADER {
                    continue;
                }
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            }
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                let length = u64::from(u16::from_be_bytes([self.header[3], self.header[4]]));
                if self.header[0] == APPLICATION_DATA {
                    tell(length.saturating_sub(AROUND_PLAINTEXT));
                }
                self.header_len = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_inside_wherever_the_stream_is_split() {
        let mut stream = vec![22, 3, 3, 0, 2, 1, 1];
        for length in [18_u8, 117] {
            stream.extend([23, 3, 3, 0, length]);
            stream.extend(vec![0; usize::from(length)]);
        }
        for at in 0..=stream.len() {
            let (mut records, mut told) = (Records::default(), Vec::new());
            let (head, tail) = stream.split_at(at);
            for piece in [head, tail] {
                records.feed(piece, |plain| told.push(plain));
            }
            assert_eq!(told, [1, 100], "split at {at}");
        }
        assert!(Records::begin_with(&stream) && !Records::begin_with(b"GET"));
    }
}
