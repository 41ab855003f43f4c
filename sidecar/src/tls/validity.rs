//! When a certificate is valid (RFC 5280 §4.1.2.5).

use std::time::{Duration, SystemTime};

use httpdate::fmt_http_date;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// The first and the last moment of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

/// Why no client takes a certificate now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfDate {
    #[error("the certificate expired on {}; renew it", fmt_http_date(*.0))]
    Expired(SystemTime),
    #[error("the certificate is not valid before {}; look at the clock, or wait", fmt_http_date(*.0))]
    NotYet(SystemTime),
}

impl Validity {
    /// What is wrong with it at `now`.
    pub fn judge(&self, now: SystemTime) -> Option<OutOfDate> {
        if now < self.not_before {
            Some(OutOfDate::NotYet(self.not_before))
        } else if now > self.not_after {
            Some(OutOfDate::Expired(self.not_after))
        } else {
            None
        }
    }
}

/// The dates of a certificate; `None` where it cannot be read.
pub fn validity(leaf: &CertificateDer<'_>) -> Option<Validity> {
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    // webpki tells the dates only to whoever asks at the wrong time; it looks at them before it looks for an issuer.
    let ask = |at: Duration| {
        let at = UnixTime::since_unix_epoch(at);
        leaf.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None).err()
    };
    let Some(Error::CertNotValidYet { not_before, .. }) = ask(Duration::ZERO) else { return None };
    let Some(Error::CertExpired { not_after, .. }) = ask(Duration::from_secs(u64::MAX)) else { return None };
    Some(Validity { not_before: system_time(not_before), not_after: system_time(not_after) })
}

fn system_time(time: UnixTime) -> SystemTime {
    // No certificate lives longer than the year 9999 (RFC 5280 §4.1.2.5.2).
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_dates_are_read_from_the_certificate() {
        let validity = validity(&certificate()).expect("it is a certificate");
        assert_eq!(fmt_http_date(validity.not_before), "Thu, 02 Jan 2025 00:00:00 GMT");
        assert_eq!(fmt_http_date(validity.not_after), "Wed, 04 Mar 2026 00:00:00 GMT");
    }

    #[test]
    fn a_certificate_is_good_from_its_first_second_to_its_last() {
        let validity = validity(&certificate()).expect("it is a certificate");
        let second = Duration::from_secs(1);
        assert_eq!(validity.judge(validity.not_before - second), Some(OutOfDate::NotYet(validity.not_before)));
        assert_eq!(validity.judge(validity.not_before), None);
        assert_eq!(validity.judge(validity.not_after), None);
        assert_eq!(validity.judge(validity.not_after + second), Some(OutOfDate::Expired(validity.not_after)));
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        assert_eq!(validity(&CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x00])), None);
    }

    fn certificate() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["app.example".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 2), date_time_ymd(2026, 3, 4));
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }
}
