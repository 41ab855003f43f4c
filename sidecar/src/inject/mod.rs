//! Putting the sidecar into Kubernetes manifests, and taking it out again.
//!
//! Text goes in, text comes out: files and streams are the caller's. What has to change is found out on values ([`plan`]), so that
//! it is the same for a manifest and for a request of an API server; a manifest is then edited in place ([`yaml`]), and
//! before it is given back the result is read again, compared with what was meant, and undone to see that it can be.

mod admit;
mod annotations;
mod app;
mod change;
mod container;
pub mod files;
mod manifest;
mod patch;
mod plan;
mod record;
mod service;
mod yaml;

use std::fmt;

use serde_json::Value;

pub use self::admit::{Admission, admit, check_options};
use self::annotations::{asked, ours};
use self::change::Path;
use self::manifest::{Manifest, Object};
pub use self::patch::Operation;
use self::plan::Plan;
pub use self::yaml::Fault;
pub(crate) use crate::config::ANNOTATION_PREFIX;

/// The name of the container; volumes and ports begin with it.
pub(crate) const NAME: &str = "outrigger";

/// A text with manifests.
#[derive(Debug, Clone)]
pub struct Input {
    /// As it shall appear in messages.
    pub name: String,
    pub text: String,
}

/// What holds for all pods unless their annotations say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub image: String,
    /// A plain container in place of a native sidecar.
    pub legacy: bool,
    /// Annotations without the prefix, and their values.
    pub set: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        let image = format!("{NAME}:{}", env!("CARGO_PKG_VERSION"));
        Self { image, legacy: false, set: Vec::new() }
    }
}

/// The texts, and what was done to the objects in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One for each input.
    pub texts: Vec<String>,
    pub lines: Vec<Line>,
}

/// What was done to one object and what a person has to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File and line.
    pub place: String,
    /// Kind and name.
    pub object: String,
    pub verdict: Verdict,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Injected,
    Uninjected,
    /// It is as it should be already.
    Unchanged,
    /// It is none of our business, or does not want it to be.
    LeftAlone,
    Note,
    /// It should have been done and cannot.
    Refused,
}

/// Why nothing was done to any of the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The text is wrong.
    Invalid { name: String, fault: Fault },
    /// Something cannot or need not be done: the whole report, with at least one line that says so.
    Refused(Vec<Line>),
    /// There was nothing to do anything to; what there was.
    Nothing(Vec<Line>),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Injected => "injected",
            Verdict::Uninjected => "uninjected",
            Verdict::Unchanged => "unchanged",
            Verdict::LeftAlone => "left alone",
            Verdict::Note => "note",
            Verdict::Refused => "refused",
        };
        write!(f, "{}: {}: {verdict}: {}", self.place, self.object, self.text)
    }
}

/// Lines for a person, one below the other.
pub(crate) struct Report<'a>(pub &'a [Line]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { name, fault } => {
                writeln!(f, "error: {name}:{}:{}: {}", fault.line, fault.column, fault.problem)
            }
            Self::Refused(lines) => {
                let refused = lines.iter().filter(|line| line.verdict == Verdict::Refused);
                refused.into_iter().try_for_each(|line| writeln!(f, "{line}"))
            }
            Self::Nothing(lines) => {
                write!(f, "{}", Report(lines))?;
                writeln!(f, "error: no Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob to inject")
            }
        }
    }
}

/// Puts the sidecar into every pod of the inputs that does not decline. What an injection of the same version has done before is done
/// anew, so that twice is as once.
pub fn inject(inputs: &[Input], options: &Options) -> Result<Outcome, Refusal> {
    let mut lines = Vec::new();
    let bare = inputs.iter().map(|input| bare(input, &mut lines)).collect::<Result<Vec<_>, _>>()?;
    if !lines.is_empty() {
        return Err(Refusal::Refused(lines));
    }
    let manifests = read(&bare)?;
    let objects: Vec<(usize, &Object)> = manifests
        .iter()
        .enumerate()
        .flat_map(|(file, manifest)| manifest.objects.iter().map(move |object| (file, object)))
        .collect();
    let mut plans: Vec<Option<Plan>> = Vec::new();
    for (file, object) in &objects {
        let (plan, mut told) = consider(object, &manifests[*file], options);
        plans.push(plan);
        lines.append(&mut told);
    }
    service::plan(&objects, &mut plans, &manifests, &mut lines);
    if lines.iter().any(|line| line.verdict == Verdict::Refused) {
        return Err(Refusal::Refused(lines));
    }
    if !lines.iter().any(|line| matches!(line.verdict, Verdict::Injected) || line.text == DECLINED) {
        return Err(Refusal::Nothing(lines));
    }
    let mut texts = Vec::new();
    for (file, manifest) in manifests.iter().enumerate() {
        let planned = objects.iter().zip(&plans).filter(|((of, _), _)| *of == file);
        let planned = planned.filter_map(|((_, object), plan)| Some((*object, plan.as_ref()?.changes.clone())));
        texts.push(manifest.inject(planned).map_err(|fault| Refusal::Invalid { name: manifest.name.clone(), fault })?);
    }
    say_what_was_so(inputs, &bare, &texts, &mut lines);
    Ok(Outcome { texts, lines })
}

/// Takes the sidecar out of every object that has one, and restores what was before, byte for byte where nothing else has
/// changed the manifest in between.
pub fn uninject(inputs: &[Input]) -> Result<Outcome, Refusal> {
    let (mut texts, mut lines) = (Vec::new(), Vec::new());
    for (input, manifest) in inputs.iter().zip(read(inputs)?) {
        for object in &manifest.objects {
            let (verdict, text) = match object.record() {
                None => (Verdict::Unchanged, "nothing was injected".to_owned()),
                Some(Ok(record)) => (Verdict::Uninjected, format!("what {} had done", record.version)),
                Some(Err(why)) => (Verdict::Refused, why),
            };
            lines.push(manifest.line(object, verdict, text));
        }
        match manifest.uninject() {
            Ok(text) => texts.push(text.unwrap_or_else(|| input.text.clone())),
            Err((object, why)) => lines.push(manifest.line(object, Verdict::Refused, why)),
        }
    }
    if lines.iter().any(|line| line.verdict == Verdict::Refused) {
        return Err(Refusal::Refused(lines));
    }
    Ok(Outcome { texts, lines })
}

/// What is said of a pod that does not want a sidecar.
const DECLINED: &str = "outrigger.dev/inject says so";

fn read(inputs: &[Input]) -> Result<Vec<Manifest<'_>>, Refusal> {
    let mut manifests = Vec::new();
    for input in inputs {
        let invalid = |fault| Refusal::Invalid { name: input.name.clone(), fault };
        manifests.push(Manifest::read(&input.name, &input.text).map_err(invalid)?);
    }
    Ok(manifests)
}

/// The input as it was before an injection of this version. Those of others are left to their own version.
fn bare(input: &Input, refused: &mut Vec<Line>) -> Result<Input, Refusal> {
    let invalid = |fault| Refusal::Invalid { name: input.name.clone(), fault };
    let manifest = Manifest::read(&input.name, &input.text).map_err(invalid)?;
    for object in &manifest.objects {
        let why = match object.record() {
            Some(Ok(record)) if record.version == env!("CARGO_PKG_VERSION") => continue,
            Some(Ok(record)) => format!(
                "version {} of outrigger is in it, and this is {}; take it out with `outrigger uninject` first",
                record.version,
                env!("CARGO_PKG_VERSION")
            ),
            Some(Err(why)) => why,
            None => continue,
        };
        refused.push(manifest.line(object, Verdict::Refused, why));
    }
    if !refused.is_empty() {
        return Ok(input.clone());
    }
    match manifest.uninject() {
        Ok(text) => Ok(Input { name: input.name.clone(), text: text.unwrap_or_else(|| input.text.clone()) }),
        Err((object, why)) => {
            refused.push(manifest.line(object, Verdict::Refused, why));
            Ok(input.clone())
        }
    }
}

/// What is to become of an object that is no Service.
fn consider(object: &Object, manifest: &Manifest, options: &Options) -> (Option<Plan>, Vec<Line>) {
    let line = |verdict, text: &str| manifest.line(object, verdict, text.to_owned());
    if object.is_service() {
        return (None, Vec::new());
    }
    match judge(&object.value, &object.kind, object.pod.as_ref(), options) {
        Judgement::Alone(why) => (None, vec![line(Verdict::LeftAlone, why)]),
        Judgement::Planned(plan) => {
            let mut lines = vec![line(Verdict::Injected, &plan.summary)];
            lines.extend(plan.notes.iter().map(|note| line(Verdict::Note, note)));
            (Some(*plan), lines)
        }
        Judgement::Refused(why) => (None, why.iter().map(|why| line(Verdict::Refused, why)).collect()),
    }
}

/// What is to become of one object.
enum Judgement {
    Alone(&'static str),
    Planned(Box<Plan>),
    Refused(Vec<String>),
}

/// Judges an object in which nothing is injected yet; `pod` leads to its pod's metadata and spec.
fn judge(object: &Value, kind: &str, pod: Option<&Path>, options: &Options) -> Judgement {
    let Some((path, pod)) = pod.and_then(|path| Some((path, change::at(object, path)?))) else {
        return Judgement::Alone("it has no pods");
    };
    // Beside the pod template, an annotation of ours has no effect.
    if let (false, Some((name, _))) = (path.is_empty(), ours(object).next()) {
        let why = format!("{ANNOTATION_PREFIX}{name} has to be an annotation of the pod template, not of the {kind}");
        return Judgement::Refused(vec![why]);
    }
    if asked(pod, options) == Some(false) {
        return Judgement::Alone(DECLINED);
    }
    match plan::plan(object, path, kind, options) {
        Ok(plan) => Judgement::Planned(Box::new(plan)),
        Err(why) => Judgement::Refused(why),
    }
}

/// Corrects the account for inputs that come out as they went in.
fn say_what_was_so(inputs: &[Input], bare: &[Input], texts: &[String], lines: &mut [Line]) {
    for ((input, bare), text) in inputs.iter().zip(bare).zip(texts) {
        if input.text == bare.text || input.text != *text {
            continue;
        }
        let of_input = |line: &&mut Line| line.place.rsplit_once(':').is_some_and(|(name, _)| name == input.name);
        for line in lines.iter_mut().filter(of_input).filter(|line| line.verdict == Verdict::Injected) {
            line.verdict = Verdict::Unchanged;
            line.text = format!("injected already: {}", line.text);
        }
    }
}

#[cfg(test)]
mod tests;
