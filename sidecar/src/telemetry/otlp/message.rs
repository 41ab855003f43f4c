//! The two forms of OTLP's messages: protobuf (wire format, "Encoding") and its mapping to JSON with the exceptions that
//! the OTLP specification makes of it ("JSON Protobuf Encoding").
//!
//! One description of a message writes both, so that they say the same.

/// A field: its number in protobuf, and its name in JSON.
pub(super) type Field = (u32, &'static str);

/// Takes the fields of a message, in the order in which they are to be written.
pub(super) trait Message: Sized {
    fn text(&mut self, field: Field, value: &str);
    /// Of a trace or a span: bytes in protobuf, and hexadecimal digits in JSON.
    fn id(&mut self, field: Field, value: &[u8]);
    fn fixed64(&mut self, field: Field, value: u64);
    fn fixed32(&mut self, field: Field, value: u32);
    /// A `uint32` or an enum.
    fn uint32(&mut self, field: Field, value: u32);
    fn int64(&mut self, field: Field, value: i64);
    fn double(&mut self, field: Field, value: f64);
    fn bool(&mut self, field: Field, value: bool);
    /// `repeated fixed64`, packed.
    fn fixed64s(&mut self, field: Field, values: &[u64]);
    /// `repeated double`, packed.
    fn doubles(&mut self, field: Field, values: &[f64]);
    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self));
    /// `repeated`: one message for each item.
    fn messages<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, write: impl FnMut(&mut Self, T));
}

/// Writes protobuf.
#[derive(Debug, Default)]
pub(super) struct Protobuf(pub(super) Vec<u8>);

/// The wire types that OTLP's fields have.
pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const LEN: u32 = 2;
pub(super) const FIXED32: u32 = 5;

impl Protobuf {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn tag(&mut self, (number, _): Field, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    fn bytes(&mut self, field: Field, bytes: &[u8]) {
        self.tag(field, LEN);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

impl Message for Protobuf {
    fn text(&mut self, field: Field, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    fn id(&mut self, field: Field, value: &[u8]) {
        self.bytes(field, value);
    }

    fn fixed64(&mut self, field: Field, value: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn fixed32(&mut self, field: Field, value: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn uint32(&mut self, field: Field, value: u32) {
        self.tag(field, VARINT);
        self.varint(value.into());
    }

    fn int64(&mut self, field: Field, value: i64) {
        self.tag(field, VARINT);
        self.varint(value.cast_unsigned());
    }

    fn double(&mut self, field: Field, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    fn bool(&mut self, field: Field, value: bool) {
        self.uint32(field, value.into());
    }

    fn fixed64s(&mut self, field: Field, values: &[u64]) {
        self.tag(field, LEN);
        self.varint(8 * values.len() as u64);
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    fn doubles(&mut self, field: Field, values: &[f64]) {
        self.tag(field, LEN);
        self.varint(8 * values.len() as u64);
        self.0.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    }

    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        self.tag(field, LEN);
        let start = self.0.len();
        write(self);
        // The length stands before what it is the length of, and takes one byte for most.
        let mut length = Self::default();
        length.varint((self.0.len() - start) as u64);
        self.0.splice(start..start, length.0);
    }

    fn messages<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for item in items {
            self.message(field, |message| write(message, item));
        }
    }
}

/// Writes JSON, without spaces; what it holds is the inside of an object.
#[derive(Debug, Default)]
pub(super) struct Json(pub(super) Vec<u8>);

impl Json {
    /// The whole object.
    pub(super) fn object(write: impl FnOnce(&mut Self)) -> String {
        let mut json = Self::default();
        json.braces(write);
        String::from_utf8(json.0).expect("it is made of text")
    }

    fn braces(&mut self, write: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        write(self);
        self.0.push(b'}');
    }

    fn name(&mut self, (_, name): Field) {
        if !matches!(self.0.last(), Some(b'{') | None) {
            self.0.push(b',');
        }
        self.quoted(name);
        self.0.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut self.0, text).expect("a Vec takes what it is given");
    }

    fn array<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.name(field);
        self.0.push(b'[');
        for (nth, item) in items.into_iter().enumerate() {
            if nth > 0 {
                self.0.push(b',');
            }
            write(self, item);
        }
        self.0.push(b']');
    }

    fn number(&mut self, value: f64) {
        match value {
            value if value.is_finite() => self.0.extend_from_slice(format!("{value:?}").as_bytes()),
            value if value.is_nan() => self.quoted("NaN"),
            value => self.quoted(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }
}

impl Message for Json {
    fn text(&mut self, field: Field, value: &str) {
        self.name(field);
        self.quoted(value);
    }

    fn id(&mut self, field: Field, value: &[u8]) {
        let mut digits = String::new();
        outrigger_shared::trace_context::hex(value, &mut digits);
        self.text(field, &digits);
    }

    fn fixed64(&mut self, field: Field, value: u64) {
        // Numbers of 64 bits are strings (ProtoJSON).
        self.text(field, &value.to_string());
    }

    fn fixed32(&mut self, field: Field, value: u32) {
        self.uint32(field, value);
    }

    fn uint32(&mut self, field: Field, value: u32) {
        self.name(field);
        self.0.extend_from_slice(value.to_string().as_bytes());
    }

    fn int64(&mut self, field: Field, value: i64) {
        self.text(field, &value.to_string());
    }

    fn double(&mut self, field: Field, value: f64) {
        self.name(field);
        self.number(value);
    }

    fn bool(&mut self, field: Field, value: bool) {
        self.name(field);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn fixed64s(&mut self, field: Field, values: &[u64]) {
        self.array(field, values, |json, value| json.quoted(&value.to_string()));
    }

    fn doubles(&mut self, field: Field, values: &[f64]) {
        self.array(field, values, |json, value| json.number(*value));
    }

    fn message(&mut self, field: Field, write: impl FnOnce(&mut Self)) {
        self.name(field);
        self.braces(write);
    }

    fn messages<T>(&mut self, field: Field, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.array(field, items, |json, item| json.braces(|json| write(json, item)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_is_as_its_documentation_has_it() {
        let mut out = Protobuf::default();
        out.uint32((1, "a"), 150);
        out.text((2, "b"), "testing");
        out.message((3, "c"), |inner| inner.uint32((1, "a"), 150));
        out.int64((1, "a"), -2);
        assert_eq!(out.0[..3], [0x08, 0x96, 0x01]);
        assert_eq!(out.0[3..12], *b"\x12\x07testing");
        assert_eq!(out.0[12..17], [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(out.0[17..], [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        let mut out = Protobuf::default();
        out.message((3, "c"), |inner| inner.text((2, "b"), &"x".repeat(300)));
        // 300 bytes, and tag and length of the text.
        assert_eq!(out.0[..6], [0x1a, 0xaf, 0x02, 0x12, 0xac, 0x02]);
        assert_eq!(out.0.len(), 306);
    }

    #[test]
    fn json_has_commas_where_they_belong() {
        let json = Json::object(|out| {
            out.messages((1, "empty"), [(); 0], |_, ()| {});
            out.messages((2, "two"), [1, 2], |out, n| out.uint32((1, "n"), n));
            out.doubles((3, "doubles"), &[1.0, 0.25, f64::INFINITY]);
            out.fixed64s((4, "counts"), &[7, u64::MAX]);
            out.id((5, "id"), &[0xab, 1]);
            out.message((6, "value"), |out| out.text((1, "text"), "{\"\n,"));
            out.bool((7, "last"), true);
        });
        let expected = r#"{"empty":[],"two":[{"n":1},{"n":2}],"doubles":[1.0,0.25,"Infinity"],"counts":["7","18446744073709551615"],"id":"ab01","value":{"text":"{\"\n,"},"last":true}"#;
        assert_eq!(json, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}
