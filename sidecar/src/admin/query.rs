//! The parameters behind the `?` of a request.

/// Parameters of a request; more than these are a mistake.
const MAX_PARAMETERS: usize = 16;

/// What is wrong with them, as a sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Faulty(pub(super) String);

/// Names with their values, each name once.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `name=value&…`, with `%` and `+` as forms write them. Every name has to be among `known`.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Self, Faulty> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) =
                decoded.ok_or_else(|| Faulty(format!("The parameter {pair:?} is not percent-encoded UTF-8")))?;
            if !known.contains(&name.as_str()) {
                let instead = if known.is_empty() {
                    "there are none here".into()
                } else {
                    format!("there are: {}", known.join(", "))
                };
                return Err(Faulty(format!("There is no parameter {name:?}; {instead}")));
            }
            if pairs.iter().any(|(before, _)| *before == name) || pairs.len() == MAX_PARAMETERS {
                return Err(Faulty(format!("The parameter {name:?} is given more than once; give it once")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter as `parse` reads it; what it may be is `form`.
    pub(super) fn read<T>(
        &self,
        name: &str,
        form: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Faulty> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| Faulty(format!("{name}={text:?} is not understood; give {form}")))
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => 16 * hex(rest.next()?)? + hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("a=1&b=x%20y+z%C3%A9&&c", &["a", "b", "c"]).unwrap();
        assert_eq!([query.get("a"), query.get("b"), query.get("c")], [Some("1"), Some("x y zé"), Some("")]);
        assert_eq!(query.get("d"), None);
        assert_eq!(query.read("a", "a number", |text| text.parse::<u8>().ok()), Ok(Some(1)));
        assert!(query.read("b", "a number", |text| text.parse::<u8>().ok()).unwrap_err().0.contains("give a number"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, part) in [
            ("x=1", "There is no parameter \"x\"; there are: a, b"),
            ("a=1&a=2", "more than once"),
            ("a=%", "percent-encoded"),
            ("a=%2", "percent-encoded"),
            ("a=%zz", "percent-encoded"),
            ("a=%ff", "percent-encoded"),
        ] {
            let fault = Query::parse(text, &["a", "b"]).unwrap_err().0;
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
