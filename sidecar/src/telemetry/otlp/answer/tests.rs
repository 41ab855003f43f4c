use http::HeaderValue;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs =
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    pairs.collect()
}

fn protobuf() -> HeaderMap {
    headers(&[(CONTENT_TYPE.as_str(), "application/x-protobuf; charset=x")])
}

fn accepted(rejected: u64, words: &str) -> Answer {
    Answer::Accepted { rejected, words: words.to_owned() }
}

/// `partial_success { rejected: 7, error_message: "no" }`
const PARTIAL: &[u8] = &[0x0a, 6, 0x08, 7, 0x12, 2, b'n', b'o'];

#[test]
fn what_was_taken_and_what_was_not() {
    assert_eq!(http(200, &protobuf(), &[], 0), accepted(0, ""));
    assert_eq!(http(200, &protobuf(), PARTIAL, 0), accepted(7, "no"));
    assert_eq!(http(202, &HeaderMap::new(), &[], 0), accepted(0, ""));
    let json = headers(&[("content-type", "application/json")]);
    assert_eq!(
        http(200, &json, br#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"no"}}"#, 0),
        accepted(7, "no")
    );
    assert_eq!(http(200, &json, br#"{"partialSuccess":{"rejectedDataPoints":7}}"#, 0), accepted(7, ""));
    assert_eq!(http(200, &json, b"{}", 0), accepted(0, ""));
    let mut message = vec![0, 0, 0, 0, 8];
    message.extend_from_slice(PARTIAL);
    assert_eq!(grpc(200, &headers(&[("grpc-status", "0")]), &message), accepted(7, "no"));
    // Minus one, in ten bytes.
    let negative = [&[0x0a, 11, 0x08][..], &[0xff; 9], &[1]].concat();
    assert_eq!(http(200, &protobuf(), &negative, 0), accepted(0, ""));
}

#[test]
fn who_is_no_collector_is_not_believed() {
    let nonsense = |answer| assert!(matches!(answer, Answer::Nonsense { .. }), "{answer:?}");
    nonsense(http(200, &headers(&[("content-type", "text/html")]), b"<html>", 0));
    nonsense(http(200, &HeaderMap::new(), b"hello", 0));
    nonsense(http(200, &protobuf(), &[0x0a, 200], 0));
    nonsense(http(200, &headers(&[("content-type", "application/json")]), b"[]", 0));
    nonsense(grpc(200, &HeaderMap::new(), &[]));
    for body in [&[][..], &[0, 0, 0, 0, 1], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 0x0a, 9]] {
        nonsense(grpc(200, &headers(&[("grpc-status", "0")]), body));
    }
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let wait = headers(&[("retry-after", "3")]);
    for status in [429, 502, 503, 504] {
        let Answer::Later { after, .. } = http(status, &wait, b"", 0) else { panic!("{status}") };
        assert_eq!(after, Some(Duration::from_secs(3)));
        assert!(matches!(grpc(status, &HeaderMap::new(), b""), Answer::Later { .. }), "{status}");
    }
    for status in [301, 400, 401, 403, 404, 413, 500, 501] {
        assert!(matches!(http(status, &wait, b"", 0), Answer::Refused { .. }), "{status}");
        assert!(matches!(grpc(status, &HeaderMap::new(), b""), Answer::Refused { .. }), "{status}");
    }
    let date = headers(&[("retry-after", "Thu, 01 Jan 1970 00:01:40 GMT")]);
    let Answer::Later { after, .. } = http(503, &date, b"", 60) else { panic!("it may pass") };
    assert_eq!(after, Some(Duration::from_secs(40)));
    for code in 0..20_u32 {
        let answer = grpc(200, &headers(&[("grpc-status", &code.to_string())]), &[0, 0, 0, 0, 0]);
        let later = matches!(answer, Answer::Later { after: None, .. });
        assert_eq!(later, [1, 4, 10, 11, 14, 15].contains(&code), "{code}: {answer:?}");
    }
}

#[test]
fn a_collector_that_is_full_may_say_when_to_come_back() {
    // Status { code: 8, details: [Any { type_url: "type.googleapis.com/google.rpc.RetryInfo", value: { delay: 1.5 s } }] }
    let delay = [0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
    let mut info = vec![0x0a, 8];
    info.extend_from_slice(&delay);
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let mut any = vec![0x0a, u8::try_from(url.len()).unwrap()];
    any.extend_from_slice(url);
    any.extend_from_slice(&[0x12, u8::try_from(info.len()).unwrap()]);
    any.extend_from_slice(&info);
    let mut status = vec![0x08, 8, 0x1a, u8::try_from(any.len()).unwrap()];
    status.extend_from_slice(&any);
    let full = |details: &str| {
        grpc(
            200,
            &headers(&[("grpc-status", "8"), ("grpc-message", "full"), ("grpc-status-details-bin", details)]),
            b"",
        )
    };
    for details in
        [base64::prelude::BASE64_STANDARD.encode(&status), base64::prelude::BASE64_STANDARD_NO_PAD.encode(&status)]
    {
        let expected = Answer::Later { after: Some(Duration::from_millis(1500)), why: "gRPC status 8 full".to_owned() };
        assert_eq!(full(&details), expected);
    }
    assert!(matches!(full("AAAA"), Answer::Refused { .. }));
}

#[test]
fn its_words_are_kept_short_and_clean() {
    let long = format!("a\u{1b}[31m\n{}", "x".repeat(1000));
    let json = serde_json::json!({ "partialSuccess": { "errorMessage": long } }).to_string();
    let Answer::Accepted { words, .. } =
        http(200, &headers(&[("content-type", "application/json")]), json.as_bytes(), 0)
    else {
        panic!("it was taken")
    };
    assert_eq!(words.chars().count(), MAX_WORDS);
    assert!(!words.contains(['\u{1b}', '\n']));
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100..600_u16, body: Vec<u8>, code in "[0-9]{0,4}", details in "[A-Za-z0-9+/]{0,80}") {
        let trailers = headers(&[("grpc-status", &code), ("grpc-status-details-bin", &details)]);
        let _ = grpc(status, &trailers, &body);
        let _ = http(status, &protobuf(), &body, 0);
        let _ = http(status, &headers(&[("content-type", "application/json"), ("retry-after", &code)]), &body, 0);
    }
}
