//! The ledger of what the RFCs ask (`conformance.yaml`): every test that it names exists, nothing that
//! must be is without a test or a reason, and `docs/vrrp-conformance.md` is what it says.
//!
//! `LVS_WRITE_LEDGER=1 cargo test -p lvs-vrrp --test conformance` writes the document anew.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole crate is a test: what does not hold shall fail it"
)]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// How strongly something is asked (RFC 2119).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
        }
    }
}

/// One requirement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// RFC, section, number.
    id: String,
    level: Level,
    requirement: String,
    /// Tests by their paths: that what is asked is done.
    #[serde(default)]
    positive: Vec<String>,
    /// That it is not done where it must not be, or that the contrary is refused.
    #[serde(default)]
    negative: Vec<String>,
    /// Why there is no test, or not one of each kind; why the requirement is not met.
    reason: Option<String>,
    /// Not met.
    #[serde(default)]
    deviates: bool,
}

impl Entry {
    fn rfc(&self) -> &str {
        self.id.split('-').next().unwrap()
    }

    fn section(&self) -> &str {
        self.id.split('-').nth(1).unwrap()
    }

    fn tests(&self) -> impl Iterator<Item = &String> {
        self.positive.iter().chain(&self.negative)
    }

    fn is_tested(&self) -> bool {
        !self.positive.is_empty() && !self.negative.is_empty()
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ledger() -> Vec<Entry> {
    let text = std::fs::read_to_string(here().join("conformance.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// The files that may hold the tests of a module: of this crate, or of the agent that uses it.
fn candidates(module: &str) -> Vec<PathBuf> {
    let path = module.replace("::", "/");
    let inline = path.strip_suffix("/tests").unwrap_or(&path);
    let agent = here().parent().unwrap().join("tests");
    vec![
        here().join(format!("src/{path}.rs")),
        here().join(format!("src/{inline}.rs")),
        here().join(format!("tests/{path}.rs")),
        here().join(format!("tests/{path}/main.rs")),
        agent.join(format!("{path}.rs")),
    ]
}

/// Whether the file has a test function of this name.
fn has_test(file: &Path, name: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        return false;
    };
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line == "#[test]" {
            is_test = true;
        } else if line.starts_with("fn ") || line.starts_with("pub") {
            if is_test && line.starts_with(&format!("fn {name}(")) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

#[test]
fn every_test_of_the_ledger_exists() {
    let mut missing = Vec::new();
    for entry in ledger() {
        for test in entry.tests() {
            let (module, name) = test.rsplit_once("::").unwrap();
            if !candidates(module).iter().any(|file| has_test(file, name)) {
                missing.push(format!("{}: {test}", entry.id));
            }
        }
    }
    assert!(missing.is_empty(), "no such test: {missing:#?}");
}

#[test]
fn everything_is_tested_or_has_a_reason() {
    for entry in ledger() {
        let has_reason = entry.reason.as_ref().is_some_and(|text| text.len() > 20);
        assert!(
            entry.is_tested() || has_reason,
            "{} lacks tests, and a reason for it",
            entry.id
        );
        assert!(
            !entry.deviates || has_reason,
            "{} deviates without a reason",
            entry.id
        );
    }
}

#[test]
fn every_id_is_of_a_known_form_and_given_once() {
    let mut seen = HashSet::new();
    for entry in ledger() {
        let parts: Vec<_> = entry.id.split('-').collect();
        assert_eq!(parts.len(), 3, "{}", entry.id);
        assert!(["9568", "3768"].contains(&entry.rfc()), "{}", entry.id);
        assert!(seen.insert(entry.id.clone()), "{} stands twice", entry.id);
    }
}

#[test]
fn the_document_is_what_the_ledger_says() {
    let path = here().join("../../docs/vrrp-conformance.md");
    let document = document(&ledger());
    if std::env::var_os("LVS_WRITE_LEDGER").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document,
        "docs/vrrp-conformance.md is out of date: LVS_WRITE_LEDGER=1 cargo test -p lvs-vrrp --test \
         conformance"
    );
}

fn document(entries: &[Entry]) -> String {
    let mut text = String::from(
        "<!-- Generated from node-agent/vrrp/conformance.yaml by its test. -->\n\n\
         # VRRP: what the RFCs ask, and what tests it\n\n\
         RFC 9568 (version 3) with its verified errata, and RFC 3768 (version 2) where that differs. A \
         *positive* test shows that what is asked is done, a *negative* one that it is not done where \
         it must not be, or that the contrary is refused. Tests are those of `node-agent/vrrp`; \
         `vrrp_thread` is in `node-agent/tests`.\n\n",
    );
    summarize(entries, &mut text);
    let mut by_section: BTreeMap<(&str, Vec<u32>), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let numbers = entry.section().split('.');
        let numbers = numbers.map(|number| number.parse().unwrap()).collect();
        let key = (entry.rfc(), numbers);
        by_section.entry(key).or_default().push(entry);
    }
    for rfc in ["9568", "3768"] {
        writeln!(text, "\n## RFC {rfc}").unwrap();
        for ((_, _), entries) in by_section.iter().filter(|((of, _), _)| *of == rfc) {
            for entry in entries {
                write_entry(entry, &mut text);
            }
        }
    }
    text
}

fn summarize(entries: &[Entry], text: &mut String) {
    text.push_str(
        "| | Requirements | Both kinds of tests | One kind | None, with a reason | Not met |\n",
    );
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (name, levels) in [
        ("MUST, MUST NOT", [Level::Must, Level::MustNot]),
        ("SHOULD, SHOULD NOT", [Level::Should, Level::ShouldNot]),
    ] {
        let of: Vec<_> = entries
            .iter()
            .filter(|entry| levels.contains(&entry.level))
            .collect();
        let both = of.iter().filter(|entry| entry.is_tested()).count();
        let none = of
            .iter()
            .filter(|entry| entry.tests().next().is_none())
            .count();
        let deviating = of.iter().filter(|entry| entry.deviates).count();
        let one = of.len() - both - none;
        let all = of.len();
        writeln!(
            text,
            "| {name} | {all} | {both} | {one} | {none} | {deviating} |"
        )
        .unwrap();
    }
    let deviating: Vec<_> = entries
        .iter()
        .filter(|entry| entry.deviates)
        .map(|entry| format!("`{}`", entry.id))
        .collect();
    let deviating = deviating.join(", ");
    writeln!(text, "\nNot met, with the reason at each: {deviating}.").unwrap();
}

fn write_entry(entry: &Entry, text: &mut String) {
    let Entry {
        id, requirement, ..
    } = entry;
    let level = entry.level.name();
    writeln!(text, "\n### {id}\n\n**{level}** {requirement}\n").unwrap();
    if entry.deviates {
        text.push_str("- **Not met.**\n");
    }
    for (kind, tests) in [("Positive", &entry.positive), ("Negative", &entry.negative)] {
        if !tests.is_empty() {
            let tests: Vec<_> = tests.iter().map(|test| format!("`{test}`")).collect();
            writeln!(text, "- {kind}: {}", tests.join(", ")).unwrap();
        }
    }
    if let Some(reason) = &entry.reason {
        writeln!(text, "- Reason: {reason}").unwrap();
    }
}
