//! Cutting a connection of a sidecar into frames, to change some.

use outrigger_sim::world::tamper::Meddler;

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PONG: u8 = 10;

/// One frame as it is on the wire; small enough for a length of 16 bits.
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl Frame {
    pub(crate) fn opcode(&self) -> u8 {
        self.0[0] & 0x0f
    }

    /// The payload, masked as it is.
    pub(crate) fn payload(&mut self) -> &mut [u8] {
        let length = if self.0[1] & 0x7f == 126 { 2 } else { 0 };
        let mask = if self.0[1] & 0x80 == 0 { 0 } else { 4 };
        &mut self.0[2 + length + mask..]
    }

    fn whole_len(bytes: &[u8]) -> Option<usize> {
        let &[_, second] = bytes.first_chunk()?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (length, payload) = match second & 0x7f {
            126 => (2, usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
            127 => panic!("frames of these worlds are short"),
            short => (0, usize::from(short)),
        };
        Some(2 + length + mask + payload).filter(|whole| *whole <= bytes.len())
    }
}

/// One direction of a connection; behind its first HTTP head come frames.
#[derive(Default)]
struct Cutter {
    is_past_head: bool,
    waiting: Vec<u8>,
}

impl Cutter {
    fn cut(&mut self, bytes: Vec<u8>, change: &mut dyn FnMut(Frame) -> Vec<u8>) -> Vec<u8> {
        self.waiting.extend(bytes);
        let mut out = Vec::new();
        if !self.is_past_head {
            let head = self.waiting.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = head.map(|at| at + 4) else { return std::mem::take(&mut self.waiting) };
            out.extend(self.waiting.drain(..end));
            self.is_past_head = true;
        }
        while let Some(whole) = Frame::whole_len(&self.waiting) {
            let frame = self.waiting.drain(..whole).collect();
            out.extend(change(Frame(frame)));
        }
        out
    }
}

type Change = Box<dyn FnMut(Frame) -> Vec<u8> + Send>;

/// Changes frames on their way to the sidecar, or from it.
#[derive(Default)]
pub(crate) struct Frames {
    read: Option<(Cutter, Change)>,
    write: Option<(Cutter, Change)>,
}

impl Frames {
    pub(crate) fn read(change: impl FnMut(Frame) -> Vec<u8> + Send + 'static) -> Box<dyn Meddler> {
        Box::new(Self { read: Some((Cutter::default(), Box::new(change))), write: None })
    }

    pub(crate) fn written(change: impl FnMut(Frame) -> Vec<u8> + Send + 'static) -> Box<dyn Meddler> {
        Box::new(Self { read: None, write: Some((Cutter::default(), Box::new(change))) })
    }
}

impl Meddler for Frames {
    fn read(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match &mut self.read {
            Some((cutter, change)) => cutter.cut(bytes, change),
            None => bytes,
        }
    }

    fn write(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match &mut self.write {
            Some((cutter, change)) => cutter.cut(bytes, change),
            None => bytes,
        }
    }
}
