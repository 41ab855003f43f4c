//! Names of TLS versions and cipher suites, as nginx, OpenSSL and IANA write them.

use rustls::CipherSuite;

use super::TlsProtocols;
use super::parse::Problem;

/// The suites that rustls has, with their IANA and OpenSSL names.
pub(crate) const CIPHERS: [(CipherSuite, &str, &str); 9] = [
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

/// One or several suites, separated by colons.
pub(crate) fn ciphers(text: &str) -> Result<Vec<CipherSuite>, Problem> {
    let names = text.split(':').map(str::trim);
    names.map(|name| cipher(name).ok_or_else(|| unknown_cipher(name))).collect()
}

/// Whether a suite belongs to TLS 1.3; the others belong to 1.2.
pub(crate) fn is_tls13(suite: CipherSuite) -> bool {
    CIPHERS[..3].iter().any(|(known, _, _)| *known == suite)
}

/// One or several versions, separated by spaces.
pub(crate) fn protocols(text: &str) -> Result<Vec<TlsProtocols>, Problem> {
    let mut found = Vec::new();
    for name in text.split_ascii_whitespace() {
        found.push(match name {
            "TLSv1.2" => TlsProtocols::OnlyTls12,
            "TLSv1.3" => TlsProtocols::OnlyTls13,
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.0" | "TLSv1.1" => {
                return Err(Problem::new(format!(
                    "{name} is broken and was withdrawn (RFC 8996, RFC 7568), so it is not spoken"
                ))
                .advise("write `TLSv1.2`, `TLSv1.3` or both; clients of the last ten years have them"));
            }
            _ => return Err(Problem::new(format!("`{name}` is not a version of TLS"))),
        });
    }
    if found.is_empty() { Err(Problem::new("is empty")) } else { Ok(found) }
}

fn cipher(name: &str) -> Option<CipherSuite> {
    let found =
        CIPHERS.iter().find(|(_, iana, openssl)| [iana, openssl].iter().any(|known| known.eq_ignore_ascii_case(name)));
    found.map(|(suite, _, _)| *suite)
}

fn unknown_cipher(name: &str) -> Problem {
    let names: Vec<&str> = CIPHERS.iter().map(|(_, _, openssl)| *openssl).collect();
    Problem::new(format!("`{name}` is not a cipher suite that is spoken here"))
        .advise(format!("choose among {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use rustls::SupportedCipherSuite;

    use super::*;

    #[test]
    fn these_are_all_that_rustls_has() {
        let ours: Vec<CipherSuite> = CIPHERS.iter().map(|(suite, _, _)| *suite).collect();
        let theirs = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter().map(SupportedCipherSuite::suite);
        assert_eq!(ours, theirs.collect::<Vec<_>>());
    }

    #[test]
    fn every_suite_has_two_names() {
        for (suite, iana, openssl) in CIPHERS {
            assert_eq!(ciphers(iana), Ok(vec![suite]));
            assert_eq!(ciphers(openssl), Ok(vec![suite]));
        }
        let both = ciphers("ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256").unwrap();
        assert_eq!(both.iter().map(|suite| is_tls13(*suite)).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn an_unknown_suite_is_answered_with_all_nine() {
        let problem = ciphers("TLS_AES_128_GCM_SHA256:AES128-SHA").unwrap_err();
        assert_eq!(problem.what, "`AES128-SHA` is not a cipher suite that is spoken here");
        assert!(CIPHERS.iter().all(|(_, _, openssl)| problem.advice.as_ref().unwrap().contains(openssl)));
        assert!(ciphers("").is_err());
    }

    #[test]
    fn old_versions_are_refused_with_the_reason() {
        assert_eq!(protocols("TLSv1.2 TLSv1.3").unwrap().len(), 2);
        for name in ["SSLv3", "TLSv1", "TLSv1.1"] {
            assert!(protocols(&format!("TLSv1.2 {name}")).unwrap_err().what.contains("RFC 8996"));
        }
        assert!(protocols("").is_err() && protocols("tls1.2").is_err());
    }
}
