//! What an agent's `/metrics` says: the text format of Prometheus.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::cluster::Cluster;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// Asks the agent of a node.
///
/// # Errors
/// When it does not answer, or with something else.
pub fn scrape(cluster: &Cluster, node: &str) -> Result<Vec<Sample>> {
    let url = "http://127.0.0.1:9809/metrics";
    parse(&cluster.on(node, &["curl", "-sf", url])?)
}

/// The only sample of that name whose labels include these.
#[must_use]
pub fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut found = samples.iter().filter(|sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(key, value)| sample.labels.get(*key).is_some_and(|have| have == value))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first.value)
}

/// Reads samples; comments are left out.
///
/// # Errors
/// When a line is neither.
pub fn parse(text: &str) -> Result<Vec<Sample>> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| sample(line).with_context(|| format!("no sample: {line:?}")))
        .collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, rest) = match line.split_once('}') {
        Some((series, rest)) => (series, rest),
        None => line.split_once(' ')?,
    };
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    // No label of ours has a comma or an escape.
    let labels = labels.split(',').filter(|label| !label.is_empty());
    Some(Sample {
        name: name.to_owned(),
        labels: labels
            .map(|label| {
                let (key, value) = label.split_once('=')?;
                Some((key.to_owned(), value.trim_matches('"').to_owned()))
            })
            .collect::<Option<_>>()?,
        value: rest.split_whitespace().next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP lvs_x_total Some.
# TYPE lvs_x counter
lvs_x_total{address=\"192.168.1.130\",port=\"80\"} 7
lvs_x_total{address=\"192.168.1.131\",port=\"80\"} 8.5
lvs_up 1
# EOF
";

    #[test]
    fn reads_samples_and_finds_the_only_one() {
        let samples = parse(TEXT).unwrap();
        assert_eq!(samples.len(), 3);
        assert_eq!(value(&samples, "lvs_up", &[]), Some(1.0));
        let of = |address| value(&samples, "lvs_x_total", &[("address", address)]);
        assert_eq!(of("192.168.1.131"), Some(8.5));
        assert_eq!(of("192.168.1.132"), None);
        assert_eq!(value(&samples, "lvs_x_total", &[("port", "80")]), None);
    }

    #[test]
    fn other_text_is_an_error() {
        assert!(parse("lvs_up\n").is_err());
        assert!(parse("<html>").is_err());
    }
}
