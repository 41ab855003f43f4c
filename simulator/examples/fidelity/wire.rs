//! Just enough of WebSocket and HTTP, without a copy or a packet that is not asked for.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The example of RFC 6455 section 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;
const SHORT_MAX: usize = 125;
const MEDIUM: u8 = 126;
const LONG: u8 = 127;
const MESSAGE_MAX_BYTES: usize = 1 << 20;
const HEADER_MAX_BYTES: usize = 16 << 10;

/// A stream in the clear or in TLS.
pub(crate) trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Both for S {}

pub(crate) type Wire = BufReader<Box<dyn Both>>;

pub(crate) fn wire(stream: impl Both + 'static) -> Wire {
    BufReader::with_capacity(64 << 10, Box::new(stream))
}

/// First byte and unmasked payload.
pub(crate) async fn read_frame(stream: &mut Wire) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let short = head[1] & !MASKED;
    let length = match short {
        MEDIUM => usize::from(stream.read_u16().await?),
        LONG => usize::try_from(stream.read_u64().await?).unwrap_or(usize::MAX),
        _ => usize::from(short),
    };
    if length > MESSAGE_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut mask = [0; 4];
    if head[1] & MASKED != 0 {
        stream.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((head[0], payload))
}

/// Sends a frame in one write, masked with zeros where a client sends it.
pub(crate) async fn write_frame(stream: &mut Wire, first: u8, payload: &[u8], masked: bool) -> io::Result<()> {
    let mask = if masked { MASKED } else { 0 };
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length) if usize::from(length) <= SHORT_MAX => frame.push(mask | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(mask | MEDIUM);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(mask | LONG);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    write(stream, &frame).await
}

pub(crate) async fn write(stream: &mut Wire, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The header block of a request or an answer, and the length of its body. `None` at the end of the stream.
pub(crate) async fn read_head(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<(String, usize)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 || head.len() > HEADER_MAX_BYTES {
            return Ok(None);
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((head, length.unwrap_or(0))))
}
