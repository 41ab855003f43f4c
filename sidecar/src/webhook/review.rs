//! From an `AdmissionReview` with a request to one with a response (admission.k8s.io/v1). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::inject::{self, Admission};

/// The version that is spoken; `admissionReviewVersions` of the configuration has to name it.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// Characters of one warning. An API server may cut what is longer.
const MAX_WARNING_CHARS: usize = 256;
/// Warnings of one answer: so many of full length are all that an API server passes on.
const MAX_WARNINGS: usize = 16;
/// Characters of a denial. It may repeat what annotations say, which can be long.
const MAX_MESSAGE_CHARS: usize = 4096;
/// What a pod says that has to be left alone, at the end of every refusal.
const WAY_OUT: &str = "a pod with the label outrigger.dev/inject: \"false\" is left alone";

/// What holds for all pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub options: inject::Options,
    pub failure: Failure,
    /// Namespaces in which nothing is injected, whatever their pods say.
    pub exclude: Vec<String>,
}

/// What becomes of a pod that cannot have a sidecar, in the words of `failurePolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is denied, with the reason.
    Fail,
    /// It is stored as it is, with the reason as a warning.
    Ignore,
}

/// A body that is no review. Who sent it is told 400, and takes it for a call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the body is no AdmissionReview: {0}")]
    NotAReview(String),
    #[error("`{0}` is not spoken here; let admissionReviewVersions of the webhook's configuration be [v1]")]
    Version(String),
    #[error("the AdmissionReview has no request")]
    NoRequest,
    #[error("the request has an empty uid")]
    NoUid,
    #[error("a request to CREATE has no object")]
    NoObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Request>,
}

/// What matters of a request; the rest is not even kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    operation: String,
    kind: Option<Kind>,
    name: Option<String>,
    namespace: Option<String>,
    sub_resource: Option<String>,
    dry_run: Option<bool>,
    object: Option<Value>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// A review with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    /// The `AdmissionReview` to send back.
    pub answer: Value,
    pub account: Account,
}

/// What is said of a review in the log: nothing of the object but what names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    pub uid: String,
    pub operation: String,
    pub kind: String,
    pub namespace: String,
    /// The name that it has or will begin with.
    pub name: String,
    pub dry_run: bool,
    pub outcome: Outcome,
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Injected,
    Untouched,
    /// It should have been injected and could not; it goes on without.
    Ignored,
    Denied,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Untouched => "untouched",
            Self::Ignored => "ignored",
            Self::Denied => "denied",
        }
    }
}

/// Answers the review in the body of a request.
pub fn answer(body: &[u8], policy: &Policy) -> Result<Reviewed, Malformed> {
    let request = read(body)?;
    let object = match (request.object.as_ref().filter(|object| !object.is_null()), request.operation.as_str()) {
        (Some(object), _) => object,
        (None, "CREATE") => return Err(Malformed::NoObject),
        (None, _) => &Value::Null,
    };
    let (decided, outcome, why) = decide(&request, object, policy);
    let mut response = json!({"uid": request.uid});
    for (field, value) in decided {
        response[field] = value;
    }
    let answer = json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response});
    Ok(Reviewed { answer, account: account(&request, outcome, &why) })
}

fn read(body: &[u8]) -> Result<Request, Malformed> {
    let wrong = |why: String| Malformed::NotAReview(short(&why, MAX_WARNING_CHARS));
    // What is skipped in it would not be looked at otherwise.
    let text = std::str::from_utf8(body).map_err(|error| wrong(error.to_string()))?;
    let review: Review = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if review.kind != "AdmissionReview" {
        return Err(wrong(format!("it is of the kind `{}`", review.kind)));
    }
    if review.api_version != API_VERSION {
        return Err(Malformed::Version(short(&review.api_version, MAX_WARNING_CHARS)));
    }
    let request = review.request.ok_or(Malformed::NoRequest)?;
    if request.uid.is_empty() { Err(Malformed::NoUid) } else { Ok(request) }
}

/// Fields of the response, the outcome, and why it is so.
fn decide(request: &Request, object: &Value, policy: &Policy) -> (Vec<(&'static str, Value)>, Outcome, String) {
    let allowed = ("allowed", Value::Bool(true));
    let untouched = |why: String| (vec![allowed.clone()], Outcome::Untouched, why);
    // What is there already was judged when it came; and a pod's containers cannot change.
    if request.operation != "CREATE" {
        return untouched("it is not being created".to_owned());
    }
    if request.sub_resource.as_ref().is_some_and(|part| !part.is_empty()) {
        return untouched("it is a part of another object".to_owned());
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if policy.exclude.iter().any(|excluded| excluded == namespace) {
        return untouched(format!("the namespace `{namespace}` is excluded"));
    }
    match inject::admit(object, &policy.options) {
        Ok(Admission::Untouched(why)) => untouched(why),
        Ok(Admission::Injected { patch, summary, notes, .. }) => {
            let patch = serde_json::to_vec(&patch).expect("values with text for keys, and nothing else can fail");
            let mut fields = vec![allowed, ("patchType", "JSONPatch".into()), ("patch", STANDARD.encode(patch).into())];
            fields.extend(warnings(&notes));
            fields.push(("auditAnnotations", json!({"injected": short(&summary, MAX_WARNING_CHARS)})));
            (fields, Outcome::Injected, summary)
        }
        Err(why) if policy.failure == Failure::Ignore => {
            let not = |why: &String| format!("no outrigger sidecar was injected: {why}");
            let mut fields = vec![allowed];
            fields.extend(warnings(&why.iter().map(not).collect::<Vec<_>>()));
            let why = why.join("; ");
            fields.push(("auditAnnotations", json!({"ignored": short(&why, MAX_WARNING_CHARS)})));
            (fields, Outcome::Ignored, why)
        }
        Err(why) => {
            let why = why.join("; ");
            let message =
                format!("no outrigger sidecar can be injected: {}; {WAY_OUT}", short(&why, MAX_MESSAGE_CHARS));
            let status = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": message});
            (vec![("allowed", false.into()), ("status", status)], Outcome::Denied, why)
        }
    }
}

fn warnings(texts: &[String]) -> Option<(&'static str, Value)> {
    let warnings: Vec<_> = texts.iter().take(MAX_WARNINGS).map(|text| short(text, MAX_WARNING_CHARS)).collect();
    (!warnings.is_empty()).then(|| ("warnings", warnings.into()))
}

/// A text of so many characters at most, in one line: it becomes a header and a line of a log.
fn short(text: &str, max_chars: usize) -> String {
    let mut letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut short: String = letters.by_ref().take(max_chars).collect();
    if letters.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

fn account(request: &Request, outcome: Outcome, why: &str) -> Account {
    let named = |pointer: &str| {
        let text = request.object.as_ref().and_then(|object| object.pointer(pointer)).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let name = request.name.as_deref().filter(|name| !name.is_empty());
    let name = name.or_else(|| named("/metadata/name")).or_else(|| named("/metadata/generateName"));
    let text = |text: &str| short(text, MAX_WARNING_CHARS);
    Account {
        kind: text(request.kind.as_ref().map_or_else(|| named("/kind").unwrap_or_default(), |kind| &kind.kind)),
        name: text(name.unwrap_or_default()),
        uid: text(&request.uid),
        operation: text(&request.operation),
        namespace: text(request.namespace.as_deref().unwrap_or_default()),
        dry_run: request.dry_run.unwrap_or(false),
        outcome,
        why: text(why),
    }
}

#[cfg(test)]
mod tests;
