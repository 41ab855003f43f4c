//! Injection as a whole, on manifests that nobody wrote: made by chance in many styles.

use proptest::prelude::*;

use super::*;

/// How a Deployment and its Service are written.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one choice of a writer, and independent of the others")]
struct Style {
    indent: usize,
    /// Whether dashes stand below the first letter of their key.
    flush: bool,
    feed: &'static str,
    final_feed: bool,
    quoted: bool,
    flow: bool,
    /// A comment or blank line before each so many-th line.
    comments: usize,
    /// Keys of the container, in this order.
    order: Vec<&'static str>,
    named: bool,
    annotations: Option<&'static str>,
    grace: Option<u64>,
    legacy: bool,
    service_first: bool,
    scalar: &'static str,
}

fn styles() -> impl Strategy<Value = Style> {
    let layout = (2..5_usize, any::<bool>(), prop::sample::select(vec!["\n", "\r\n"]), any::<bool>(), any::<bool>());
    let rest =
        (any::<bool>(), 0..5_usize, Just(vec!["image", "ports", "args", "livenessProbe", "resources"]).prop_shuffle());
    let content = (
        any::<bool>(),
        prop::option::of(prop::sample::select(vec!["", " {}", " ~", "keep"])),
        prop::option::of(30..90_u64),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["|", "|+", "|-", ">", ">-", ">+"]),
    );
    (layout, rest, content).prop_map(
        |(
            (indent, flush, feed, final_feed, quoted),
            (flow, comments, order),
            (named, annotations, grace, legacy, service_first, scalar),
        )| {
            Style {
                indent,
                flush,
                feed,
                final_feed,
                quoted,
                flow,
                comments,
                order,
                named,
                annotations,
                grace,
                legacy,
                service_first,
                scalar,
            }
        },
    )
}

impl Style {
    fn text(&self) -> String {
        let (deployment, service) = (self.deployment(), self.service());
        let documents = if self.service_first { [service, deployment] } else { [deployment, service] };
        let mut lines = Vec::new();
        for document in documents {
            lines.push("---".to_owned());
            for (number, line) in document.into_iter().enumerate() {
                // Within a block scalar it would be text.
                let text = line.is_empty() || line.ends_with(" first") || line.ends_with("last\t.");
                if self.comments > 0 && !text && number % self.comments == self.comments - 1 {
                    lines.push(if number % 2 == 0 { String::new() } else { format!("{:1$}# comment", "", number % 7) });
                }
                lines.push(line);
            }
        }
        let end = if self.final_feed { self.feed } else { "" };
        lines.join(self.feed) + end
    }

    fn line(&self, depth: usize, dash: bool, key: &str, value: &str) -> String {
        let key = if self.quoted { format!("\"{key}\"") } else { key.to_owned() };
        let space = if value.is_empty() { "" } else { " " };
        let pad = depth * self.indent;
        if dash {
            let at = if self.flush { pad - self.indent } else { pad };
            format!("{:at$}-{:2$}{key}:{space}{value}", "", "", self.behind_dash() - 1)
        } else {
            format!("{:pad$}{key}:{space}{value}", "")
        }
    }

    /// From a dash to what is behind it.
    fn behind_dash(&self) -> usize {
        self.indent.max(2)
    }

    fn deployment(&self) -> Vec<String> {
        let line = |depth, key, value: &str| self.line(depth, false, key, value);
        let mut lines = vec![
            line(0, "apiVersion", "apps/v1"),
            line(0, "kind", "Deployment"),
            line(0, "metadata", "{name: chat}"),
            line(0, "spec", ""),
            line(1, "selector", "{matchLabels: {app: chat}}"),
            line(1, "template", "# of the pod"),
            line(2, "metadata", ""),
            line(3, "labels", "{app: chat}"),
        ];
        match self.annotations {
            Some("keep") => lines.extend([line(3, "annotations", ""), line(4, "outrigger.dev/keepalive", "20s")]),
            Some(empty) => lines.push(line(3, "annotations", empty.trim())),
            None => {}
        }
        lines.push(line(2, "spec", ""));
        lines.extend(self.grace.map(|grace| line(3, "terminationGracePeriodSeconds", &grace.to_string())));
        lines.push(line(3, "containers", ""));
        lines.push(self.line(4, true, "name", "chat # the app"));
        // What belongs to the item stands behind its dash.
        let depth = if self.flush { 4 } else { 5 };
        for key in &self.order {
            lines.extend(self.part(depth, key));
        }
        lines
    }

    fn part(&self, depth: usize, key: &str) -> Vec<String> {
        let line = |depth, key, value: &str| self.line(depth, false, key, value);
        let name = if self.named { "name: http, " } else { "" };
        let port = if self.named { "http" } else { "3000" };
        match key {
            "image" => vec![line(depth, "image", "'registry.example/chat:1'   # pinned")],
            "ports" if self.flow => vec![line(depth, "ports", &format!("[{{{name}containerPort: 3000}}] # one"))],
            "ports" => {
                let mut lines =
                    vec![line(depth, "ports", ""), self.line(depth + 1, true, "containerPort", "3000 # the port")];
                let inner = if self.flush { depth + 1 } else { depth + 2 };
                lines.extend(self.named.then(|| line(inner, "name", "\"http\"")));
                lines
            }
            "args" => {
                let dash = if self.flush { depth * self.indent } else { (depth + 1) * self.indent };
                let text = dash + 4;
                let mut lines = vec![line(depth, "args", ""), format!("{:dash$}- {}", "", self.scalar)];
                lines.extend([
                    format!("{:text$}first", ""),
                    String::new(),
                    format!("{:text$}last\t.", ""),
                    String::new(),
                ]);
                lines
            }
            "livenessProbe" => vec![
                line(depth, "livenessProbe", ""),
                line(depth + 1, "httpGet", &format!("{{path: /healthz, port: {port}}}")),
            ],
            _ => vec![line(depth, "resources", "{}")],
        }
    }

    fn service(&self) -> Vec<String> {
        let line = |depth, key, value: &str| self.line(depth, false, key, value);
        let target = if self.named { "http" } else { "3000" };
        vec![
            line(0, "apiVersion", "v1"),
            line(0, "kind", "Service"),
            line(0, "metadata", ""),
            line(1, "name", "chat"),
            line(0, "spec", ""),
            line(1, "selector", "{app: chat}"),
            line(1, "ports", ""),
            self.line(2, true, "port", "80"),
            self.line(if self.flush { 2 } else { 3 }, false, "targetPort", target),
        ]
    }
}

fn input(text: &str) -> Input {
    Input { name: "made.yaml".into(), text: text.to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_style_twice_is_once_and_back_is_the_original(style in styles()) {
        let text = style.text();
        let options = Options { legacy: style.legacy, ..Options::default() };
        let injected = inject(&[input(&text)], &options);
        let injected = injected.map_err(|refusal| TestCaseError::fail(format!("{refusal}\n{text}")))?;
        let once = &injected.texts[0];
        prop_assert!(once.contains("OUTRIGGER_UPSTREAM"));
        let twice = inject(&[input(once)], &options).expect("what was injected can be injected");
        prop_assert_eq!(&twice.texts[0], once);
        let back = uninject(&[input(once)]).expect("what was injected can be taken out");
        prop_assert_eq!(&back.texts[0], &text);
    }

    #[test]
    fn no_text_makes_it_panic(style in styles(), at in any::<prop::sample::Index>(), noise in "[-:#{}\\[\\]&*!|>'\"%@`,? \\n\\t\\ra]{1,4}", cut in any::<bool>()) {
        let mut text = style.text();
        let place = at.index(text.len());
        if text.is_char_boundary(place) {
            if cut { text.truncate(place) }
            text.insert_str(place.min(text.len()), &noise);
        }
        if let Ok(injected) = inject(&[input(&text)], &Options::default()) {
            let back = uninject(&[input(&injected.texts[0])]).expect("what was injected can be taken out");
            prop_assert_eq!(&back.texts[0], &text);
        }
    }
}
