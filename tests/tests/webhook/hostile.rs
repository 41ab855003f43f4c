//! Requests by chance, from a seed: the process answers each with an `AdmissionReview` or a 4xx, and goes on.

use outrigger_tests::{Launch, Wire};
use serde_json::Value;

use super::{all_recorded, ask, head, post, recorded};

/// Reviews changed by chance, and connections with nothing but noise.
const REVIEWS: usize = 1500;
const NOISES: usize = 150;
const SEED: u64 = 0x6f75_7472_6967_6765;

/// Numbers by chance, the same in every run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Changes, cuts, repeats or splices.
    fn mutate(&mut self, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.byte(),
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b"{}[],:\"\\0-e\x00"[self.below(12)]),
                3 => {
                    let end = (at + self.below(400)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                4 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let from = self.below(other.len());
                    let end = (from + self.below(400)).min(other.len());
                    bytes.splice(at..at, other[from..end].iter().copied());
                }
            }
        }
        bytes
    }
}

#[test]
fn any_body_is_answered_as_a_review_or_refused() {
    let webhook = Launch::webhook().start();
    let corpus: Vec<Vec<u8>> = all_recorded().iter().map(|name| recorded(name).to_string().into_bytes()).collect();
    let mut chance = Chance(SEED);
    let mut wire = webhook.connect("https");
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..REVIEWS {
        let (one, other) = (chance.below(corpus.len()), chance.below(corpus.len()));
        let body = chance.mutate(corpus[one].clone(), &corpus[other]);
        let response = post(&mut wire, &body);
        if response.status == 400 {
            refused += 1;
            continue;
        }
        assert_eq!(response.status, 200, "{:?}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
        // Half a surrogate in a part that is skipped is no fault, and no text.
        let Ok(review) = serde_json::from_slice::<Value>(&body) else { continue };
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        assert!(answer["response"]["allowed"].is_boolean(), "{answer}");
        answered += 1;
    }
    // Neither is a rarity, or nothing was tried.
    assert!(answered > 50 && refused > 50, "{answered} answered, {refused} refused");
    assert!(ask(&mut wire, &recorded("pod")).get("patch").is_some());
}

#[test]
fn noise_is_refused_or_cut_off() {
    let mut webhook = Launch::webhook().start();
    let mut chance = Chance(SEED);
    let good = recorded("pod").to_string();
    let request = [head(good.len()).as_bytes(), good.as_bytes()].concat();
    for number in 0..NOISES {
        // Into the TLS handshake, or inside TLS.
        let mut wire = if number % 2 == 0 { Wire::plain(webhook.addr("https")) } else { webhook.connect("https") };
        let noise = if number % 3 == 0 {
            (0..chance.below(3000)).map(|_| chance.byte()).collect()
        } else {
            // The head alone: a body that is too short would be waited for.
            let head_bytes = head(0).into_bytes();
            chance.mutate(head_bytes, &request)
        };
        wire.send(noise);
        wire.finish();
        let (said, _) = wire.rest();
        let text = String::from_utf8_lossy(&said);
        let known = ["HTTP/1.1 200", "HTTP/1.1 400", "HTTP/1.1 404", "HTTP/1.1 405", "HTTP/1.1 408", "HTTP/1.1 413"];
        let known = known.iter().chain(&["HTTP/1.1 414", "HTTP/1.1 415", "HTTP/1.1 431"]);
        let tls_alert = said.first() == Some(&0x15);
        assert!(said.is_empty() || tls_alert || known.clone().any(|start| text.starts_with(start)), "{text:?}");
    }
    assert!(webhook.is_running());
    assert!(ask(&mut webhook.connect("https"), &recorded("pod")).get("patch").is_some());
}
