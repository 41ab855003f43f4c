//! From the values of OpenTelemetry's variables to those of our keys.

use super::key::StandardForm;

/// The texts that a value stands for, or what is wrong with it.
pub(super) fn items(form: StandardForm, value: &str) -> Result<Vec<String>, String> {
    match form {
        StandardForm::Same => Ok(vec![value.to_owned()]),
        StandardForm::Milliseconds => {
            if value.bytes().all(|b| b.is_ascii_digit()) {
                Ok(vec![format!("{value}ms")])
            } else {
                Err(format!("`{value}` is not a whole number of milliseconds"))
            }
        }
        StandardForm::Disabled => Ok(vec![if value.eq_ignore_ascii_case("true") { "off" } else { "on" }.to_owned()]),
        StandardForm::Pairs(between) => {
            value.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| one_pair(pair, between)).collect()
        }
    }
}

/// A pair as in W3C Baggage, whose value may be percent-encoded. No part of it is repeated: it may be a secret.
fn one_pair(pair: &str, between: &str) -> Result<String, String> {
    let (name, value) = pair.split_once('=').ok_or("has a part that is no `name=value`")?;
    let name = percent_decoded(name.trim()).filter(|name| !name.is_empty());
    match (name, percent_decoded(value.trim())) {
        (Some(name), Some(value)) => Ok(format!("{name}{between}{value}")),
        _ => Err("has a part whose percent-encoding is wrong, or a value without a name".to_owned()),
    }
}

/// `None` if what comes behind a `%` is no number, or all of it no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte == b'%' {
            let (digits, behind) = behind.split_at_checked(2)?;
            // `from_str_radix` takes a sign.
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(byte);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_wrong_ones_are_not_repeated() {
        let pairs = |text| items(StandardForm::Pairs(": "), text);
        assert_eq!(pairs("a=b, api-key = Bearer%20x%3D,,").unwrap(), ["a: b", "api-key: Bearer x="]);
        for wrong in ["s3cret", "a=s3cret%zz", "a=s3cret%+1", "a=s3cret%4", "=s3cret", "a=s3cret%ff"] {
            assert!(!pairs(wrong).unwrap_err().contains("s3cret"), "{wrong}");
        }
    }

    #[test]
    fn numbers_and_flags() {
        assert_eq!(items(StandardForm::Milliseconds, "250").unwrap(), ["250ms"]);
        assert!(items(StandardForm::Milliseconds, "1s").is_err());
        assert_eq!(items(StandardForm::Disabled, "True").unwrap(), ["off"]);
        assert_eq!(items(StandardForm::Disabled, "yes").unwrap(), ["on"]);
    }
}
