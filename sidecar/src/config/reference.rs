//! The reference of all keys, as Markdown.

use super::GROUPS;
use super::key::Key;

const PREAMBLE: &str = "\
# Configuration

Every setting can be given in three ways. A flag wins over a variable, a variable over the file, the file over the
default.

| | One value | A list |
|---|---|---|
| flag | `--proxy-read-timeout 15m` | the flag again for each value |
| variable | `OUTRIGGER_PROXY_READ_TIMEOUT=15m` | values separated by commas; `\\,` is a comma within a value |
| file | `proxy_read_timeout = \"15m\"` | `listen = [\"http://0.0.0.0:8080\", \"https://0.0.0.0:8443\"]` |

- The file is TOML, named with `--config FILE` or `OUTRIGGER_CONFIG=FILE`. Relative paths start at the working
  directory.
- A time is `500ms`, `60s`, `15m`, `1h`, `1d` or a combination as `1m30s`; a bare number is seconds.
- A size is `4k`, `60m` or `1g` (powers of 1024, also spelled `KB` or `KiB`); a bare number is bytes.
- In the file, numbers need no quotes, and `true` and `false` stand for `on` and `off`.
- Names of nginx and Tencent CLB that mean the same are accepted as well; they are in parentheses.
- Variables of OpenTelemetry (`OTEL_…`) hold where nothing else says otherwise, in the form that OpenTelemetry gives them.
  As they are for every program in the container, a wrong one is passed over with a warning.
- `outrigger check` reports everything that is wrong at once; `outrigger config` shows what is in effect and where each
  value came from; `outrigger config --schema` is a JSON schema for editors.

This page is what `outrigger config --reference` prints.
";

/// All keys with their defaults, ranges, flags and variables.
pub fn reference() -> String {
    let mut text = PREAMBLE.to_owned();
    for group in &GROUPS {
        text.extend(["\n## ", group.title, "\n\n"]);
        text += "| Key | Default | Accepts | Flag and variable | Meaning |\n|---|---|---|---|---|\n";
        for key in group.keys {
            text += &row(key);
        }
    }
    text
}

fn row(key: &Key) -> String {
    let aliases: Vec<String> = key.aliases.iter().map(|alias| format!(" (`{alias}`)")).collect();
    let aliases = aliases.concat();
    let many = if key.list { "list of: " } else { "" };
    let standard = key.standard.map(|standard| format!(" `{}`", standard.variable)).unwrap_or_default();
    format!(
        "| `{}`{aliases} | {} | {many}{} | `{}` `{}`{standard} | {} |\n",
        key.name,
        key.default_text(),
        key.accepts(),
        key.flag(),
        key.variable(),
        key.about,
    )
}
