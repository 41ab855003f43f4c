//! HTTP/1 as bytes: heads and responses as they came, and requests as text.

use crate::show;

/// The head of a request or a response: a first line and fields, in order and in their own case.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    pub first: String,
    pub fields: Vec<(String, String)>,
    pub raw: Vec<u8>,
}

impl Head {
    pub(crate) fn parse(raw: Vec<u8>) -> Head {
        let text = String::from_utf8_lossy(&raw);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Head { first, fields, raw }
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// The target of a request, byte for byte.
    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1).and_then(|s| s.parse().ok());
        status.unwrap_or_else(|| panic!("a status line expected, not {:?}", self.first))
    }

    /// The values of every line of this name, whatever its case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let wanted = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        wanted.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the one line of this name; `None` without one.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "one line of {name} at most expected: {self:?}");
        all.first().copied()
    }

    /// Whether the comma-separated list `name`, over all its lines, has this token in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).iter().any(|value| value.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.has_token("transfer-encoding", "chunked")
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.get("content-length").map(|v| v.parse().unwrap_or_else(|_| panic!("bad Content-Length: {self:?}")))
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&show(&self.raw))
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    /// The body without its chunk framing.
    pub body: Vec<u8>,
    /// Trailer lines of a chunked body, verbatim.
    pub trailers: Vec<String>,
}

impl Response {
    /// Checks the status, and shows the whole response where it differs.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{:?}, body {}", self.head, show(&self.body));
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A GET request for `target`, with `extra` header lines.
pub fn get(target: &str, extra: &[&str]) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n{}\r\n", lines(extra))
}

/// Header lines, each with its CRLF.
pub fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\r\n"]).collect()
}

/// Where `needle` starts.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
